"""A conversation as the text that a chat model was trained on.

    [{"role": "user", "content": "Hi"}]  ──the model's own chat_template──▶
    "<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n"  ──tokenizer──▶  ids

Templates are programs that come with models: Jinja runs them in its sandbox, with what Hugging Face
gives them (trimmed blocks, `tojson`, `raise_exception`, `strftime_now`, `{% generation %}`), so
they give the same text. A template writes BOS itself, where the model wants one; none is added.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtale.errors import UserError

if TYPE_CHECKING:
    from qtale.artifact import Artifact

#: What holds a model's template, in the order in which Hugging Face looks.
FILES = ("chat_template.jinja", "tokenizer_config.json")
_SPECIAL = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


class ChatTemplate:
    """A model's `chat_template`, ready to render conversations."""

    def __init__(
        self, source: str, tokens: Mapping[str, str] | None = None, name: str = "template"
    ):
        """source: the Jinja text; tokens: what it knows as bos_token, eos_token, …"""
        jinja2 = _jinja()
        self.name = name
        self.tokens = dict(tokens or {})
        try:
            self._template = _environment(jinja2).from_string(source)
        except jinja2.TemplateError as error:
            raise UserError(f"{name}: not a chat template: {error}") from error
        except RecursionError as error:
            raise UserError(f"{name}: not a chat template: too deeply nested") from error

    @classmethod
    def find(cls, path: str | Path) -> ChatTemplate:
        """From a file, or from the folder of a model or artifact."""
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        config = _config(folder / "tokenizer_config.json")
        texts = {name: _token(config.get(name)) for name in _SPECIAL}
        tokens = {name: text for name, text in texts.items() if text}
        for file in [folder / name for name in FILES] if path.is_dir() else [path]:
            if not file.is_file():
                continue
            if file.suffix != ".json":
                return cls(_read(file), tokens, str(file))
            source = _default(_config(file).get("chat_template"))
            if source is not None:
                return cls(source, tokens, str(file))
        raise UserError(
            f"{path}: there is no chat template ({' or '.join(FILES)} with one); name the model's "
            "file or folder with --chat-template"
        )

    def render(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True, **more: Any
    ) -> str:
        """The text of a conversation; more: what a template asks for besides (tools, …)."""
        jinja2 = _jinja()
        _check(messages)
        values = {**self.tokens, "tools": None, "documents": None, **more}
        try:
            return self._template.render(
                messages=list(messages), add_generation_prompt=add_generation_prompt, **values
            )
        # A template is the model's program: whatever it does wrong is the model's or its input's.
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{self.name}: {error}") from error
        except RecursionError as error:
            raise UserError(f"{self.name}: too deeply nested, or it calls itself") from error


def chat_prompt(
    artifact: Artifact,
    messages: Sequence[Mapping[str, Any]],
    template: ChatTemplate | None = None,
    add_generation_prompt: bool = True,
    **more: Any,
) -> list[int]:
    """The ids of a conversation; the template is by default the one beside the artifact."""
    template = template or ChatTemplate.find(artifact.path.parent)
    return artifact.tokenizer.encode(template.render(messages, add_generation_prompt, **more))


def read_messages(path: Path) -> list[dict[str, Any]]:
    """[{"role": …, "content": …}, …] of a JSON file, or that list as "messages"."""
    value = _json(path)
    messages = value.get("messages") if isinstance(value, dict) else value
    try:
        _check(messages)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return messages


def _check(messages: Any) -> None:
    if not isinstance(messages, (list, tuple)) or not messages:
        raise UserError("a conversation is a list of messages, one at least")
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise UserError(f'message {index} must be like {{"role": "user", "content": "Hi"}}')


def _jinja() -> Any:
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ImportError as error:
        raise UserError("chat templates need jinja2: pip install jinja2") from error
    return jinja2


def _environment(jinja2: Any) -> Any:
    class Generation(jinja2.ext.Extension):
        """{% generation %} marks for training what the model wrote; here it is its content."""

        tags = {"generation"}  # noqa: RUF012 (as Jinja declares it)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.Scope(body, lineno=line)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(
        value: Any, ensure_ascii=False, indent=None, separators=None, sort_keys=False
    ) -> str:
        # Jinja's own escapes < and > for HTML.
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8: {error}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path}: too deeply nested") from error


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = _json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a JSON object")
    return value


def _token(value: Any) -> str | None:
    """A token is its text, or an object that says how it is matched."""
    text = value.get("content") if isinstance(value, dict) else value
    return None if text is None else str(text)


def _default(value: Any) -> str | None:
    """A template, or of several with names the one for chats."""
    if isinstance(value, list):
        named = {e.get("name"): e.get("template") for e in value if isinstance(e, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else None
