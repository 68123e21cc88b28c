package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector may let the heap grow by heapRoom beyond what is live. Its own rule, twice the live heap, collects far
// too often when little is live, which is the usual state: that costs a token answer a fifth of its time.
const (
	heapRoom     = 6 << 20 // bytes
	mostPercent  = 200     // Go's least heap, 4 MB, grows with it too; a larger room raises it as much
	leastPercent = 100     // Go's own rule, for a store in memory that holds much
	heapLook     = 5 * time.Second
)

// machineRoom is heapRoom where machine tokens are served: their answers come many times as often, and their memory is measured in
// hundreds of megabytes anyway.
const machineRoom = 48 << 20

// tuneMemory keeps to the room until ctx ends. An operator who sets GOGC knows better.
func tuneMemory(ctx context.Context, p process, room uint64) {
	if _, set := p.lookup("GOGC"); set {
		return
	}
	percent := percentFor(0, room)
	debug.SetGCPercent(percent)
	go func() {
		tick := time.NewTicker(heapLook)
		defer tick.Stop()
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			metrics.Read(live)
			// Setting it stops the world for a moment: only for a difference that matters.
			if next := percentFor(live[0].Value.Uint64(), room); next < percent*3/4 || next > percent*5/4 {
				percent = next
				debug.SetGCPercent(percent)
			}
		}
	}()
}

func percentFor(live, room uint64) int {
	most := mostPercent * room / heapRoom
	if live == 0 {
		return int(most)
	}
	return int(min(most, max(leastPercent, room*100/live)))
}
