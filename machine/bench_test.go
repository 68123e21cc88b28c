package machine_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"vestibule/machine"
)

// cognitoSize is what an access token of Cognito's client_credentials grant weighs with a few scopes.
const cognitoSize = 900

func BenchmarkHit(b *testing.B) {
	p := &provider{}
	p.set(always(200, `{"access_token":"`+strings.Repeat("x", cognitoSize)+`","expires_in":3600,"token_type":"Bearer"}`))
	r := newReplica(b, p, nil, func(c *machine.Config) { c.Observe = func(machine.Event) {} })
	q := from("1example23456789abcdefghij", "1example23456789abcdefghij1example23456789abcdefghij", "scope", "orders/read orders/write")
	r.token(b, q)
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		a, err := r.Token(context.Background(), dst[:0], q)
		if err != nil || a.How != machine.HowHit {
			b.Fatal(a.How, err)
		}
	}
}

func BenchmarkHitInParallel(b *testing.B) {
	p := &provider{}
	r := newReplica(b, p, nil, func(c *machine.Config) { c.Observe = func(machine.Event) {} })
	q := from("client", "secret")
	r.token(b, q)
	b.RunParallel(func(pb *testing.PB) {
		dst := make([]byte, 0, 4096)
		for pb.Next() {
			if _, err := r.Token(context.Background(), dst[:0], q); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkAMillionTokens fills the memory and tells what the process then weighs.
func BenchmarkAMillionTokens(b *testing.B) {
	if testing.Short() {
		b.Skip("it takes a minute")
	}
	const tokens = 1_000_000
	p := &provider{}
	body := `{"access_token":"` + strings.Repeat("x", cognitoSize) + `","expires_in":3600,"token_type":"Bearer"}`
	p.set(always(200, body))
	r := newReplica(b, p, nil, func(c *machine.Config) {
		c.Rate, c.ClientRate, c.MemoryBytes, c.Observe = 1<<30, 1<<30, 1300<<20, func(machine.Event) {}
	})
	for b.Loop() {
		for i := range tokens {
			r.token(b, from("client", "secret", "scope", fmt.Sprint("scope/", i)))
		}
	}
	debug.FreeOSMemory()
	runtime.GC()
	b.ReportMetric(residentMB(b), "MB-resident")
	b.ReportMetric(float64(r.Held()), "held")
}

func residentMB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if _, err := fmt.Sscanf(line, "VmRSS: %g kB", &kB); err == nil {
			return kB / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
