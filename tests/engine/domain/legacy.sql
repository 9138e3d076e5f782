create table clinic (id serial primary key, name varchar(40) not null, country varchar(2) not null);
create table person (id serial primary key, clinic_id int, email varchar(80), kind int not null default 1, manager_id int,
                     born date, settings text, updated_at timestamptz not null default now());
create table visit (id serial primary key, person_id int, note varchar(200), best_invoice_id int);
create table invoice (id serial primary key, visit_id int, total numeric(10,2) not null, paid boolean not null default true,
                      made_at timestamptz not null default now());
create table remark (id serial primary key, person_id int, body text);
create table letter (id serial primary key, person_id int, body text);
create table grant_of (person_id int not null, right_id int not null, level smallint not null default 0,
                       primary key (person_id, right_id));
insert into clinic (name, country) values ('North', 'US'), ('East', 'JP');
insert into person (clinic_id, email, kind, manager_id, born, settings)
  select 1 + i % 2, 'Person' || i || '@Example.org', 1 + i % 3, case when i > 1 then i - 1 end,
         date '1980-01-01' + i, '{"n": ' || i || '}' from generate_series(1, 12) i;
insert into visit (person_id, note) select i, 'visit ' || i from generate_series(1, 12) i;
insert into invoice (visit_id, total, paid) select i, i * 10.05, i % 4 <> 0 from generate_series(1, 12) i;
update visit set best_invoice_id = id;
insert into remark (person_id, body) select i, 'remark ' || i from generate_series(1, 6) i;
insert into letter (person_id, body) select i, 'letter ' || i from generate_series(1, 4) i;
insert into grant_of (person_id, right_id) select i, r from generate_series(1, 4) i, generate_series(1, 3) r;
