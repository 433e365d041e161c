"""Stand-ins for what the source inside an official TensorFlow pickle expects around it (docs/spec/TF_RUNTIME.md).

Runs in a process of its own, isolated from the user's, and imports nothing else of this project: `child` is the way in.
"""
