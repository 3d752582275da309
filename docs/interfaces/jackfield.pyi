# Part of: jackfield 0.1
from jackfield.client import LLM as LLM
from jackfield.client import AsyncLLM as AsyncLLM
from jackfield.config import EngineConfig as EngineConfig
from jackfield.config import load_config as load_config
from jackfield.engine.engine import Engine as Engine
from jackfield.errors import JackfieldError as JackfieldError
from jackfield.errors import RequestError as RequestError
from jackfield.pooling import PoolingParams as PoolingParams
from jackfield.request import CompletionOutput as CompletionOutput
from jackfield.request import FinishReason as FinishReason
from jackfield.request import PoolingOutput as PoolingOutput
from jackfield.request import RequestOutput as RequestOutput
from jackfield.request import ScoreOutput as ScoreOutput
from jackfield.sampling import BeamSearch as BeamSearch
from jackfield.sampling import SamplingParams as SamplingParams
