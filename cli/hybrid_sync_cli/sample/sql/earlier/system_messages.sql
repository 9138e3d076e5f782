-- nothing had been read yet
select earlier(%(seed)s, 'system_messages', n.id) as id, n.id as legacy_id, earlier(%(seed)s, 'profiles',
  n.recipient_id) as recipient_id,
       n.sender, n.template_name as template, '{}' as context, false as is_read, n.sent as is_sent, n.created_at
from dispatch_notification n where n.id <= %(earlier_notifications)s and n.recipient_id <= %(earlier_users)s
