# Part of: jackfield_testing 0.1
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import ClassVar
import pytest
from jackfield.discovery.kinds import ENDPOINTS
from jackfield.errors import JackfieldError
from jackfield.interfaces.endpoint import Endpoint
from jackfield_testing.conformance.card import CardKit
from jackfield_testing.serving import ScriptedServing
Asked = tuple[str, str, Any]
@dataclass(slots=True)
class Answer:
    status: int = 0
    body: bytes = b''
    error: JackfieldError | None = None
    bodies: list[bytes] = field(default_factory=list)

    @property
    def is_refusal(self) -> bool:
        ...
class EndpointKit(CardKit):
    kind = ENDPOINTS
    good_requests: ClassVar[Sequence[Asked]] = ()
    bad_requests: ClassVar[Sequence[Asked]] = ()

    @pytest.fixture
    def needs(self) -> tuple[None]:
        ...

    def test_its_path_is_one_that_others_can_stand_beside(self, card: Endpoint) -> None:
        ...

    def test_an_application_asks_nothing_before_it_is_asked(self, card: Endpoint) -> None:
        ...

    def test_good_requests_are_answered(self, card: Endpoint) -> None:
        ...

    def test_bad_requests_are_refused(self, card: Endpoint) -> None:
        ...

    def test_a_body_that_is_no_json_is_refused(self, card: Endpoint) -> None:
        ...

    def test_an_unknown_path_is_not_found(self, card: Endpoint) -> None:
        ...

    def test_what_the_models_refuse_is_told(self, card: Endpoint) -> None:
        ...

    def test_a_client_that_leaves_is_not_answered_on(self, card: Endpoint) -> None:
        ...
def ask(card: Endpoint, serving: ScriptedServing, asked: Asked, *, leaves: bool=False) -> Answer:
    ...
