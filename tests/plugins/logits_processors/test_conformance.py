from jackfield_testing_torch.conformance.logits_processor import LogitsProcessorKit


class TestNoRepeatNgram(LogitsProcessorKit):
    name = "no_repeat_ngram"
    samples = ({"size": 2}, {"size": 1, "window": 5}, {"size": 3, "allowed": [1]})


class TestThinkingBudget(LogitsProcessorKit):
    name = "thinking_budget"
    samples = ({"max_tokens": 3, "end": [7, 8]}, {"max_tokens": 0, "end": [9]})
