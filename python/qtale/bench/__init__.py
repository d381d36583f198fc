"""`qtale bench`: one random model of a real shape, run by qtale and by its rivals, side by side.

    shape ─▶ checkpoint ─┬▶ artifact     ─▶ qtale        ┐
             (random)    ├▶ MatMulNBits  ─▶ onnxruntime  ├─ some steps a turn ────▶ paired ratios
                         └▶ GGUF         ─▶ llama.cpp    ┘
    memory, registers ──────────────────▶ read bandwidth, integer peak ────────▶ share of the limit

All have the very same quantized weights: qtale.quantization makes them for the rivals, and is what
compiled artifacts follow. So their logits agree up to the rounding of activations, which is
reported: a rival that computed something else would be no rival.
"""
