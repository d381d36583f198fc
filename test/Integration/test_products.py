"""What the compiler makes tells the story by itself: moved, bundled, linked, called from C."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import QTALE_COMPILE, QTALE_RUN, ROOT, STORY, TELL, succeeds


def compile_into(folder: Path, model: Path, name: str, *options: str) -> Path:
    """Compiled there, then moved, so that nothing hangs on the place."""
    (folder / "made").mkdir()
    succeeds(QTALE_COMPILE, model, "-o", folder / "made" / name, *options)
    (folder / "made").rename(folder / "moved")
    return folder / "moved" / name


@pytest.mark.parametrize("bundle", [[], ["--bundle"]], ids=["beside", "bundle"])
@pytest.mark.parametrize("kind", ["lib", "exe"])
def test_story(stories_onnx: Path, tmp_path: Path, kind: str, bundle: list[str]):
    artifact = compile_into(tmp_path, stories_onnx, "m", f"--emit={kind}", *bundle)
    files = {path.name for path in artifact.parent.iterdir()}
    assert files == ({"m"} if bundle else {"m", "m.safetensors"})
    command = [artifact] if kind == "exe" else [QTALE_RUN, artifact]
    assert succeeds(*command, *TELL, cwd="/", env={}) == STORY
    succeeds(*command, "--verify")
    if shutil.which("readelf"):
        dynamic = succeeds("readelf", "-d", artifact)
        needed = [line.split("[")[1][:-1] for line in dynamic.splitlines() if "NEEDED" in line]
        assert {name.split(".so")[0] for name in needed} <= {"libc", "libm", "ld-linux-x86-64"}


def test_c_example(
    build: Callable[..., Path], compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path
):
    """docs/examples/generate.c, as strict as compilers are."""
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    program = build(ROOT / "docs/examples/generate.c", tmp_path / "generate", *strict)
    for options in ({}, {"bundle": True}):
        artifact = compiled(stories_onnx, **options)
        assert succeeds(program, artifact, "", 200) == STORY
    rest = succeeds(program, artifact, STORY[:100], 50)
    assert succeeds(QTALE_RUN, artifact, "--prompt", STORY[:100], "--steps", 50) == rest


HOST = r"""
#include "qtale/Runtime/qtale.h"
#include <stdio.h>

/* Prints 20 tokens, each the likeliest. */
int main(int argc, char **argv) {
  const qtale_api *api = qtale_get_api(QTALE_API_VERSION);
  qtale_error error;
  qtale_model *model;
  qtale_session *session;
  float logits[512];
  int32_t token = 1;
  qtale_step step = {0, &token, 1, QTALE_LOGITS_LAST, logits};
  if (argc != 2 || api->model_open(argv[1], NULL, &model, &error) ||
      api->session_create(model, NULL, &session, &error))
    return fprintf(stderr, "%s\n", error.message), 1;
  step.session = session;
  for (int at = 0; at < 20; ++at) {
    if (api->step(&step, 1, &error))
      return fprintf(stderr, "%s\n", error.message), 1;
    token = 0;
    for (int id = 1; id < 512; ++id)
      if (logits[id] > logits[token])
        token = id;
    printf(at ? ",%d" : "%d", (int)token);
  }
  printf("\n");
  api->session_destroy(session);
  api->model_close(model);
  return 0;
}
"""


def test_object_in_a_c_program(
    build: Callable[..., Path], compiled: Callable[..., Path], stories_onnx: Path, tmp_path: Path
):
    succeeds(QTALE_COMPILE, stories_onnx, "-o", tmp_path / "m.o", "--emit=obj")
    (tmp_path / "host.c").write_text(HOST)
    host = build(tmp_path / "host.c", tmp_path / "host", "-std=c11", tmp_path / "m.o", "-lm")
    library = compiled(stories_onnx)
    said = succeeds(QTALE_RUN, library, "--ids=1", "--steps=20", "--output=ids")
    assert succeeds(host, tmp_path / "m.safetensors") == said
    # The weights file is the compile's, not the program's.
    done = subprocess.run([host, tmp_path / "host.c"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "host.c" in done.stderr
