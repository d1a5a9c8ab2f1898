"""Whether an exported model answers the same in every runtime that reads ONNX."""
