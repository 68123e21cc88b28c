-- Deletes one entry if it has the version; answers 0 if another one stands there, 1 otherwise.
-- KEYS: the entry
-- ARGV: the version that must stand there (eight FF: any)
local version = redis.call('GETRANGE', KEYS[1], 0, 7)
if version == '' then
  return 1
end
if ARGV[1] ~= string.rep('\255', 8) and ARGV[1] ~= version then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
