"""Supabase Auth on this machine, as far as signing in goes: a stand-in for tests and demonstrations, never deployed."""
