"""The vocabulary: frozen values that every layer speaks, made of msgspec Structs."""
