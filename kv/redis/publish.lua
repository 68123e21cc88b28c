-- Publishes one message. In a Cluster a plain PUBLISH goes to any node, and two messages may overtake each other between nodes;
-- the key sends them all to the node where the listeners are.
-- KEYS: the name of the feed
-- ARGV: the channel, the message
return redis.call('PUBLISH', ARGV[1], ARGV[2])
