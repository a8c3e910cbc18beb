"""The README's story, carried out on the sandbox in a minute and a half, with its bill and its end checked."""
