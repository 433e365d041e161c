"""Our own files, and the dump of the original tensors."""

from converter.form import Form

PT = Form("pt", "ours", "opens with `torch.load(weights_only=True)`", suffix=".pt")
SAFETENSORS = Form("safetensors", "ours", "for any reader of safetensors", suffix=".safetensors")
NPZ = Form("npz", "the original tensors under their original names", suffix=".npz")
