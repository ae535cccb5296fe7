-- GCRA (ITU-T I.371) for all edges together, in microseconds of the store's own clock. A key owes a step for each request that
-- was let pass somewhere, time pays it back, and nobody may owe more than the span.
-- ARGV: step, span, how many are wanted. Gives: how many pass, how many more would, after how long one does where none passes.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local step, span, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local owes = tonumber(redis.call('GET', KEYS[1]) or now) or now
if owes < now then owes = now end
if owes > now + span then owes = now + span end
local room = math.floor((now + span - owes) / step)
local n = math.min(want, room)
if n < 1 then
  return {0, 0, math.min(span, math.max(1, owes + step - now - span))}
end
owes = owes + n * step
redis.call('SET', KEYS[1], string.format('%.0f', owes), 'PX', math.ceil((owes - now) / 1000))
return {n, room - n, 0}
