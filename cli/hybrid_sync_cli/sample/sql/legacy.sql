-- The legacy world as Django made it: serial integer keys, varchar, no defaults in the database.
-- Only patients and orders have updated_at; eight tables have no timestamp at all.
-- Foreign keys and secondary indexes are in legacy_constraints.sql, so that filling is quick.

create table django_content_type (
  id serial primary key,
  app_label varchar(100) not null,
  model varchar(100) not null,
  unique (app_label, model)
);

create table auth_permission (
  id serial primary key,
  name varchar(255) not null,
  content_type_id integer not null,
  codename varchar(100) not null,
  unique (content_type_id, codename)
);

create table auth_group (
  id serial primary key,
  name varchar(150) not null unique
);

create table auth_user (
  id serial primary key,
  password varchar(128) not null,
  last_login timestamptz,
  is_superuser boolean not null,
  username varchar(150) not null unique,
  first_name varchar(150) not null,
  last_name varchar(150) not null,
  email varchar(254) not null,
  is_staff boolean not null,
  is_active boolean not null,
  date_joined timestamptz not null
);

create table auth_user_groups (
  id serial primary key,
  user_id integer not null,
  group_id integer not null,
  unique (user_id, group_id)
);

create table dispatch_office (
  id serial primary key,
  name varchar(120) not null,
  address varchar(200) not null,
  city varchar(80) not null,
  zip varchar(16) not null,
  country varchar(2) not null,
  tax_rate numeric(6,4) not null,
  sq_customer_id varchar(64),
  valid boolean not null,
  emails text not null
);

create table dispatch_product (
  id serial primary key,
  code varchar(32) not null unique,
  name varchar(120) not null,
  price numeric(10,2) not null,
  valid boolean not null
);

create table dispatch_course (
  id serial primary key,
  product_id integer,
  name varchar(120) not null,
  weeks smallint not null,
  price numeric(10,2) not null
);

create table dispatch_patient (
  id serial primary key,
  user_id integer not null unique,
  doctor_id integer not null,
  office_id integer not null,
  current_plan_id integer,
  birthdate date,
  sex smallint not null,
  suffix varchar(16) not null,
  status smallint not null,
  archived boolean not null,
  suspended boolean not null,
  schemes text,
  submitted_at timestamptz,
  updated_at timestamptz not null
);

-- What the business calls an order.  Orders and jaws point at each other.
create table dispatch_instruction (
  id serial primary key,
  patient_id integer,
  course_id integer,
  status smallint not null,
  price numeric(10,2) not null,
  notes text not null,
  complaint text not null,
  exports smallint not null,
  upper_jaw_id integer,
  lower_jaw_id integer,
  deleted boolean not null,
  submitted_at timestamptz,
  updated_at timestamptz not null
);

create table dispatch_jaw (
  id serial primary key,
  instruction_id integer not null,
  upper boolean not null,
  treatment smallint not null,
  aligners smallint not null
);

create table dispatch_project (
  id serial primary key,
  uid varchar(36) not null,
  name varchar(120) not null,
  size bigint not null,
  public boolean not null,
  type smallint not null,
  status smallint not null,
  creator_id integer,
  created_at timestamptz not null
);

create table dispatch_plan (
  id serial primary key,
  instruction_id integer not null,
  project_id integer,
  number smallint not null,
  name varchar(120) not null,
  notes text not null,
  original boolean not null
);

create table dispatch_task (
  id serial primary key,
  instruction_id integer not null,
  assignee_id integer,
  type smallint not null,
  done_at timestamptz
);

create table dispatch_comment (
  id serial primary key,
  plan_id integer not null,
  author_id integer not null,
  parent_id integer,
  text text not null,
  created_at timestamptz not null
);

-- target_type_id says what target_id is: 11 a patient, 58 a user.
create table dispatch_record (
  id serial primary key,
  target_type_id integer not null,
  target_id integer not null,
  type smallint not null,
  text text not null,
  author_id integer,
  group_id integer,
  public boolean not null,
  created_at timestamptz not null
);

-- instruction_id has no foreign key (db_constraint=False), which is how orphans came to be.
create table dispatch_state (
  id serial primary key,
  instruction_id integer,
  status smallint not null,
  "on" boolean not null,
  actor_id integer,
  changed_at timestamptz not null
);

create table dispatch_file (
  id serial primary key,
  uid varchar(36) not null,
  name varchar(200) not null,
  ext varchar(16) not null,
  size integer not null,
  type smallint not null,
  status smallint not null,
  instruction_id integer,
  record_id integer,
  product_id integer,
  parameters text,
  created_at timestamptz not null
);

-- order_id is the card processor's order, not ours.
create table dispatch_payment (
  id serial primary key,
  instruction_id integer not null,
  order_id varchar(64),
  doctor_id integer not null,
  office_id integer not null,
  total_price numeric(10,2) not null,
  subtotal_price numeric(10,2) not null,
  paid_price numeric(10,2) not null,
  custom_price numeric(10,2),
  additional_price numeric(10,2) not null,
  used_credit numeric(10,2) not null,
  tax_rate numeric(6,4) not null,
  tax_value numeric(10,2) not null,
  paid boolean not null,
  canceled boolean not null,
  free boolean not null,
  installments text,
  made_at timestamptz not null
);

-- A refund (type 2) has no sign here: its price is positive.
create table dispatch_operation (
  id serial primary key,
  type smallint not null,
  price numeric(10,2) not null,
  payment_id integer not null,
  sq_order_id varchar(64),
  sq_payment_id varchar(64),
  sq_refund_id varchar(64),
  card_brand varchar(32) not null,
  card_bin varchar(8) not null,
  card_last varchar(4) not null,
  attempts smallint not null,
  made_at timestamptz not null
);

create table dispatch_offer (
  id serial primary key,
  product_id integer not null,
  office_id integer not null,
  price numeric(10,2) not null,
  valid boolean not null
);

create table dispatch_discount (
  id serial primary key,
  office_id integer not null,
  percent numeric(5,2) not null,
  code varchar(32) not null,
  valid boolean not null
);

create table dispatch_role (
  id serial primary key,
  name varchar(80) not null unique,
  description text not null
);

create table dispatch_role_permissions (
  role_id integer not null,
  permission_id integer not null,
  primary key (role_id, permission_id)
);

create table dispatch_notification (
  id serial primary key,
  sender varchar(120) not null,
  template_name varchar(80) not null,
  template_context text not null,
  read boolean not null,
  sent boolean not null,
  send boolean not null,
  item_id integer,
  item_type_id integer,
  recipient_id integer not null,
  created_at timestamptz not null
);
