"""Conversations: templates in the form of published models, against texts written by hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qtale
from qtale.chat import ChatTemplate, chat_prompt, read_messages
from qtale.errors import UserError

CHATML = """\
{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
LLAMA3 = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
{%- if message['role'] == 'system' %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- endif %}
{%- generation %}{{- message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}"""
MISTRAL = """\
{{ bos_token }}{% for message in messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}\
{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
{% else %}{{ message['content'] + eos_token}}{% endif %}{% endfor %}"""
GEMMA = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {{ raise_exception('System role not supported') }}
{%- endif -%}
{%- for message in messages -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
HI = [{"role": "user", "content": "Hi & <you> "}]
TALK = [*HI, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Bye"}]


@pytest.mark.parametrize(
    ("source", "messages", "expected"),
    [
        (
            CHATML,
            HI,
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\nHi & <you> <|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            LLAMA3,
            TALK,
            "<s><|start_header_id|>user<|end_header_id|>\n\nHi & <you><|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (MISTRAL, TALK, "<s>[INST] Hi & <you>  [/INST]Hello!</s>[INST] Bye [/INST]"),
        (
            GEMMA,
            TALK,
            "<s><start_of_turn>user\nHi & <you><end_of_turn>\n<start_of_turn>model\nHello!"
            "<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
        ),
    ],
    ids=["chatml", "llama3", "mistral", "gemma"],
)
def test_templates_of_published_kinds(source: str, messages: list, expected: str):
    assert ChatTemplate(source, TOKENS).render(messages) == expected


def test_what_templates_are_given():
    render = ChatTemplate(CHATML).render
    system = [{"role": "system", "content": "Be brief."}, *HI]
    assert render(system, add_generation_prompt=False).startswith("<|im_start|>system\nBe brief.")
    assert render(HI, enable_thinking=False).endswith(
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    dated = ChatTemplate(LLAMA3, TOKENS).render([{"role": "system", "content": "x"}])
    assert re.search(r"Today Date: \d\d \w+ \d{4}\n\nx<", dated)
    source = (
        "{% for m in messages %}\n  {% if loop.index > 1 %}{% break %}{% endif %}\n"
        "{{ m | tojson }}\n{% endfor %}"
    )
    assert ChatTemplate(source).render(TALK) == '{"role": "user", "content": "Hi & <you> "}\n'


def test_a_template_that_refuses_is_an_error():
    with pytest.raises(UserError, match="template: System role not supported"):
        ChatTemplate(GEMMA, TOKENS).render([{"role": "system", "content": "x"}])
    with pytest.raises(UserError, match="m: not a chat template"):
        ChatTemplate("{% if %}", name="m")
    with pytest.raises(UserError, match="no attribute 'absent'"):
        ChatTemplate("{{ messages.absent.more }}").render(HI)
    # The sandbox: a model's template doesn't get at the machine.
    with pytest.raises(UserError, match="unsafe"):
        ChatTemplate("{{ ''.__class__.__mro__ }}").render(HI)
    with pytest.raises(UserError, match="one at least"):
        ChatTemplate(CHATML).render([])


def test_where_a_template_is_found(tmp_path: Path):
    with pytest.raises(UserError, match="there is no chat template"):
        ChatTemplate.find(tmp_path)
    config = {
        "bos_token": {"content": "<b>", "lstrip": False},
        "chat_template": [
            {"name": "tool_use", "template": "tools"},
            {"name": "default", "template": "{{ bos_token }}config"},
        ],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert ChatTemplate.find(tmp_path).render(HI) == "<b>config"
    # A file of its own comes first, and has the configuration's tokens.
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}file")
    assert ChatTemplate.find(tmp_path).render(HI) == "<b>file"
    assert ChatTemplate.find(tmp_path / "tokenizer_config.json").render(HI) == "<b>config"
    (tmp_path / "tokenizer_config.json").write_text("[")
    with pytest.raises(UserError, match=r"tokenizer_config\.json: not JSON"):
        ChatTemplate.find(tmp_path)


def test_tokens_of_a_configuration(tmp_path: Path):
    names = ["bos_token", "sep_token", "cls_token", "mask_token"]
    config = {name: f"<{name}>" for name in names} | {"bos_token": {"content": None}}
    source = "".join(f"{{{{ {name} }}}}" for name in names)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": source}))
    assert ChatTemplate.find(tmp_path).render(HI) == "<sep_token><cls_token><mask_token>"


def test_what_is_nested_too_deeply_is_an_error(tmp_path: Path):
    endless = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"
    with pytest.raises(UserError, match="template: too deeply nested, or it calls itself"):
        ChatTemplate(endless).render(HI)
    with pytest.raises(UserError, match="m: not a chat template: too deeply nested"):
        ChatTemplate("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", name="m")
    (tmp_path / "tokenizer_config.json").write_text('{"a": ' + "[" * 100000)
    with pytest.raises(UserError, match=r"tokenizer_config\.json: too deeply nested"):
        ChatTemplate.find(tmp_path)
    with pytest.raises(UserError, match=r"tokenizer_config\.json: too deeply nested"):
        read_messages(tmp_path / "tokenizer_config.json")


def test_messages_of_a_file(tmp_path: Path):
    path = tmp_path / "talk.json"
    for value in (TALK, {"messages": TALK}):
        path.write_text(json.dumps(value))
        assert read_messages(path) == TALK
    for value, message in (([], "one at least"), ([{"content": "x"}], "message 0"), (3, "a list")):
        path.write_text(json.dumps(value))
        with pytest.raises(UserError, match=f"talk.json: .*{message}"):
            read_messages(path)
    path.write_text("{")
    with pytest.raises(UserError, match=r"talk\.json: not JSON"):
        read_messages(path)


def test_ids_are_those_of_the_text_alone(fake: Path):
    """A template writes BOS itself; a second one would be wrong."""
    with qtale.load(fake) as artifact:
        template = ChatTemplate("{{ messages[0].content }}!")
        assert chat_prompt(artifact, HI, template) == artifact.tokenizer.encode("Hi & <you> !")


def test_command(fake: Path, tmp_path: Path):
    """qtale-run gets the ids, and all other options as they are."""
    kept = tmp_path / "kept.npy"
    tool = tmp_path / "tool"
    tool.write_text(f'#!/bin/sh\ncp "$3" {kept}\nshift 3\nprintf "%s|" "$@"\nexit 5\n')
    tool.chmod(0o755)
    (tmp_path / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
    )

    def chat(*arguments: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "qtale.cli", "generate", fake, "--chat", *arguments],
            env=os.environ | {"QTALE_RUN": str(tool)},
            capture_output=True,
            text=True,
            check=False,
        )

    template = ("--chat-template", tmp_path)
    done = chat("--prompt", "Hi", "--system", "Go", *template, "--steps", "3", "--top-p=0.5")
    assert (done.returncode, done.stdout) == (5, "--steps|3|--top-p=0.5|"), done.stderr
    with qtale.load(fake) as artifact:
        assert np.load(kept).tolist() == artifact.tokenizer.encode("system:Go;user:Hi;")
        talk = tmp_path / "talk.json"
        talk.write_text(json.dumps(TALK))
        assert chat("--messages", talk, *template).returncode == 5
        text = "user:Hi & <you> ;assistant:Hello!;user:Bye;"
        assert np.load(kept).tolist() == artifact.tokenizer.encode(text)
    assert chat("--prompt", "x").returncode == 1
    assert chat(*template).returncode == 2
    done = chat("--prompt", "x", *template, "--ids", "1")
    assert (done.returncode, done.stderr) == (2, "qtale: --ids does not go with --chat\n")
