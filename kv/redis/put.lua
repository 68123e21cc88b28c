-- Writes one entry if the condition holds, and answers its version in 8 bytes; an empty answer means that the condition did not hold.
-- KEYS: the entry, the version counter of its bucket
-- ARGV: the version that must stand there (eight 00: none, eight FF: any), the mark of this write, its life in ms, its value
local old = redis.call('GETRANGE', KEYS[1], 0, 23)
if string.sub(old, 17, 24) == ARGV[2] then
  return string.sub(old, 1, 8) -- this very write was sent a second time, because its first answer was lost
end
local stands = old == '' and string.rep('\0', 8) or string.sub(old, 1, 8)
if ARGV[1] ~= string.rep('\255', 8) and ARGV[1] ~= stands then
  return ''
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local version = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
if #old == 24 then -- the counter may have been evicted
  version = math.max(version, struct.unpack('>I8', old) + 1)
end
redis.call('SET', KEYS[2], string.format('%.0f', version))
local expires = math.floor(now / 1000) + tonumber(ARGV[3])
redis.call('SET', KEYS[1], struct.pack('>I8I8', version, expires) .. ARGV[2] .. ARGV[4], 'PX', ARGV[3])
return struct.pack('>I8', version)
