"""One renderer for people and machines: tables, sentences, metrics."""
