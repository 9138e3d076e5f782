-- What planning has seen of both sides of an entity of which no row had changed, and the state of our own records then:
-- it stands for the verification while that state is the same.
alter table hybrid_sync.run_entity add column seen jsonb;
