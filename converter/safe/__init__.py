"""Reading without running: the restricted unpickler and its stand-ins."""
