-- What a day changes: at scale 1 30,000 updates and 10,000 new rows over the twelve tables, each by its size.
do $$
declare
  part record; updates int; inserts int; columns text; last int;
  day constant text := 'timestamptz ''2025-06-01 00:00:00+00'' + make_interval(secs => id / 1000.0)';
begin
  for part in
    select * from (values
      ('users', 'first_name = first_name || ''x'''), ('offices', 'phone = phone || ''1'''),
      ('patients', 'last_name = last_name || ''x'''), ('cases', 'status = (status + 1) % 8'),
      ('case_messages', 'body = body || ''!'''), ('case_states', 'state = (state + 1) % 8'),
      ('case_files', 'size = size + 1'), ('message_attachments', 'name = name || ''x'''),
      ('purchases', 'amount = amount + 0.01'), ('operations', 'price = price + 0.01'),
      ('role_permissions', 'permission = permission || ''x'''), ('system_messages', 'is_read = not is_read')
    ) v (name, change)
  loop
    execute format('select max(id) from %I', part.name) into last;
    updates := round(last * 30000.0 / 496162);
    inserts := round(last * 10000.0 / 496162);
    execute format(
      'update %I set %s, updated_at = %s where id in (select id from %I order by hashint8extended(id, 4242) limit %s)',
      part.name, part.change, day, part.name, updates);
    select string_agg(
      case when column_name = 'id' then 'id + ' || last
           when column_name in ('created_at', 'updated_at') then day else quote_ident(column_name) end,
      ', ' order by ordinal_position)
    into columns
    from information_schema.columns where table_schema = 'public' and table_name = part.name;
    execute format('insert into %I select %s from %I where id <= %s', part.name, columns, part.name, inserts);
  end loop;
end $$;
