"""The Kubernetes edge: bytes in, model values out; foreign errors never leave it."""
