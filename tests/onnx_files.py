"""Small ONNX models made by hand."""
