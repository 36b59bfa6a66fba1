-- Sends the requests of a file in their order, and tells what came of them as JSON.
-- Arguments: the file (for each request a line with its length, then its bytes), and the number
-- of the request to begin with.

local requests = {}
local position = 0
local threads = {}
-- wrk asks for a request once before it connects.
sent = -1

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local length = file:read("*n")
  while length do
    file:read(1)
    table.insert(requests, file:read(length))
    length = file:read("*n")
  end
  file:close()
  position = tonumber(arguments[2])
end

function request()
  sent = sent + 1
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  local failed = 0
  for _, count in pairs(summary.errors) do
    failed = failed + count
  end
  print(string.format(
    '{"answers": %d, "microseconds": %d, "sent": %d, "failed": %d}',
    summary.requests, summary.duration, threads[1]:get("sent"), failed
  ))
end
