"""Servers as others run them: with TLS, behind a pooler, of every version; and a CA of our own."""
