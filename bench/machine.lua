-- Asks for a machine token, as a service does. Arguments: authorization header, form, and how many milliseconds a connection pauses
-- between requests on average; 0: it does not.
function init(args)
  local pause = tonumber(args[3])
  if pause > 0 then
    function delay() return math.random(math.floor(pause / 2), math.floor(pause * 3 / 2)) end
  end
  request_bytes = wrk.format("POST", "/oauth2/token", {
    ["Authorization"] = args[1], ["Content-Type"] = "application/x-www-form-urlencoded",
  }, args[2])
end

function request()
  return request_bytes
end

function done(summary, latency)
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, e.connect + e.read + e.write + e.timeout,
    e.status, latency:percentile(50), latency:percentile(99), summary.duration))
end
