"""The loop that one study lives in: observe, plan, act. It sees ports, neither Kubernetes nor processes."""
