"""The hybrid-sync engine: carries a legacy PostgreSQL into Supabase, row by row and to the cent."""
