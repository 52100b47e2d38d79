"""Words that a model's chat template reads as the end of a turn or the start of one, made mere words.

A bracketed token gets a space inside its brackets, a heading loses its signs, a speaker's colon becomes a
dash: a person reads the same, and no tokenizer finds its token.
"""

import re

from jobs.intake.linear import unescaped

_ROUNDS = 3
_ROLE = r"(?:system|user|assistant|human|developer|tool|model|ipython)"
_PIPED = re.compile(r"<\|([^|<>\n]{0,40})\|>")
_DOUBLED = re.compile(r"<(?=<[ \t]{0,4}/?[ \t]{0,4}sys[ \t]{0,4}>>)", re.IGNORECASE)
_BRACKETED = re.compile(
    r"<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|begin_of_text|end_of_text|think|thinking"
    rf"|{_ROLE}(?:[_ ](?:prompt|message|turn))?|instructions?|tool_calls?|tool_response|tool_results?"
    r"|function_calls?)>)"
    r"|\[(?=/?(?:inst|system_prompt|available_tools|tool_calls|tool_results|sys|assistant_turn)\])",
    re.IGNORECASE,
)
_MAY_BE_HEADING = r"(?:new[ \t]+)?(?:instructions?|response|input|output|" + _ROLE + r")\b[^\n]{0,40}$"
_HEADING = re.compile(rf"^([ \t>]*)#{{2,4}}[ \t]*(?={_MAY_BE_HEADING})", re.IGNORECASE | re.MULTILINE)
_SPEAKER = re.compile(r"^([ \t>*]*)(human|assistant|system)([ \t*]*):", re.IGNORECASE | re.MULTILINE)
#: One speaker alone is a label ("System: Windows 11"); two of these are a forged conversation.
_CONVERSATION = ({"human", "assistant"}, {"system", "assistant"}, {"system", "human"})


def break_tokens(text: str) -> tuple[str, int]:
    """``text`` with its control tokens broken, and how many there were. Breaking twice changes nothing."""
    count = 0
    if "<" in text or "[" in text:
        text, piped = _PIPED.subn(r"< |\1| >", text)
        text, count = _BRACKETED.subn(lambda found: f"{found[0]} ", text)
        count += piped
    if ">>" in text:
        text, doubled = _DOUBLED.subn("< ", text)
        count += doubled
    if "##" in text:
        text, headings = _HEADING.subn(r"\1", text)
        count += headings
    speakers = {found[2].lower() for found in _SPEAKER.finditer(text)} if ":" in text else set()
    if any(both <= speakers for both in _CONVERSATION):
        text, turns = _SPEAKER.subn(r"\1\2\3 -", text)
        count += turns
    return text, count


def decoded(text: str) -> str:
    """``text`` with its entities read as often as they were written, three times at most."""
    for _ in range(_ROUNDS):
        read = unescaped(text)
        if read == text:
            break
        text = read
    return text
