"""What is measured: data, prompts, metrics, protocols."""
