"""What stands around the package, each folder for itself: a Space, nodes of ComfyUI, a service."""
