package handlers

import (
	"testing"
	"time"

	"vestibule/machine"
)

// RFC 9211, sections 2.3 and 2.6: who waited for somebody else's request says so, and has no status of its own to tell.
func TestTheCacheStatusSaysWhoseRequestWasSent(t *testing.T) {
	for want, a := range map[string]machine.Answer{
		"vestibule; fwd=miss; fwd-status=400":                          {How: machine.HowError, Origin: 400},
		"vestibule; fwd=miss; collapsed":                               {How: machine.HowError, Collapsed: true},
		"vestibule; fwd=miss; fwd-status=200; stored; ttl=60":          {How: machine.HowMiss, Origin: 200, Stored: true, TTL: time.Minute},
		"vestibule; fwd=miss; collapsed; ttl=60":                       {How: machine.HowCollapsed, Collapsed: true, TTL: time.Minute},
		"vestibule; fwd=stale; fwd-status=503; ttl=60; detail=stale":   {How: machine.HowStale, Origin: 503, TTL: time.Minute},
		"vestibule; fwd=stale; collapsed; ttl=60; detail=stale":        {How: machine.HowStale, Collapsed: true, TTL: time.Minute},
		"vestibule; hit; ttl=60; detail=stale":                         {How: machine.HowStale, TTL: time.Minute},
		"vestibule; fwd=request; fwd-status=200; stored; ttl=60":       {How: machine.HowMiss, Origin: 200, Stored: true, Forced: true, TTL: time.Minute},
		"vestibule; fwd=request; collapsed; ttl=60":                    {How: machine.HowCollapsed, Collapsed: true, Forced: true, TTL: time.Minute},
		"vestibule; fwd=request; fwd-status=503; ttl=60; detail=stale": {How: machine.HowStale, Origin: 503, Forced: true, TTL: time.Minute},
		"vestibule; fwd=bypass; fwd-status=400":                        {How: machine.HowPass, Origin: 400},
		"vestibule; hit; detail=negative":                              {How: machine.HowNegative},
		"vestibule; hit; ttl=60; detail=shared":                        {How: machine.HowShared, TTL: time.Minute},
		"vestibule; hit; ttl=60":                                       {How: machine.HowHit, TTL: time.Minute},
	} {
		if got := cacheStatus(a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
