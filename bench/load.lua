-- Asks for a path with each cookie of a file in turn; an empty file: without a cookie.
local requests = {}
local at = 0

function init(args)
  local headers = {}
  for line in io.lines(args[1]) do
    if #line > 0 then
      headers["Cookie"] = line
      requests[#requests + 1] = wrk.format("GET", args[2], headers)
    end
  end
  if #requests == 0 then
    requests[1] = wrk.format("GET", args[2])
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, e.connect + e.read + e.write + e.timeout,
    e.status, latency:percentile(50), latency:percentile(99), summary.duration))
end
