package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"vestibule/machine"
)

// machineMetrics is what /metrics tells of machine tokens.
type machineMetrics struct {
	answers  *prometheus.CounterVec
	hits     prometheus.Counter // the answers that are by far the most
	upstream *prometheus.HistogramVec
	limited  *prometheus.CounterVec
	saved    prometheus.Counter
}

func newMachineMetrics(r *prometheus.Registry) machineMetrics {
	m := machineMetrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_machine_answers_total", Help: "Answers at /oauth2/token: hit, shared (from the cache that replicas share), miss, collapsed (waited for another's request), stale, error, negative, pass; in our own words: invalid, denied, busy, unavailable.",
		}, []string{"cache"}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vestibule_machine_upstream_duration_seconds", Help: "Requests to the provider for machine tokens, by outcome: ok, refused, throttled, unavailable, odd.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"outcome"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_machine_limited_total", Help: "Requests to the provider that were not made: turn (rate or slots used up), pause (it asked for one), breaker.",
		}, []string{"why"}),
		saved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vestibule_machine_saved_seconds_total", Help: "Time that the provider would have taken for the answers that came from the cache, by what it took for these very tokens, less what their callers waited for.",
		}),
	}
	m.hits = m.answers.WithLabelValues(string(machine.HowHit))
	r.MustRegister(m.answers, m.upstream, m.limited, m.saved)
	return m
}

// Machine counts what happens to machine tokens.
func (m *Metrics) Machine(e machine.Event) {
	switch e.Kind {
	case machine.EventAnswer:
		if e.Outcome == string(machine.HowHit) {
			m.machine.hits.Inc()
		} else {
			m.machine.answers.WithLabelValues(e.Outcome).Inc()
		}
		m.machine.saved.Add(e.Saved.Seconds())
	case machine.EventUpstream:
		m.machine.upstream.WithLabelValues(e.Outcome).Observe(e.Took.Seconds())
	case machine.EventLimited:
		m.machine.limited.WithLabelValues(e.Outcome).Inc()
	case machine.EventDegraded:
		m.degraded.WithLabelValues("machine_token").Inc()
	}
}

// MachineTokens tells how many machine tokens are held, as held counts them when it is asked. It is called once.
func (m *Metrics) MachineTokens(held func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vestibule_machine_tokens", Help: "Machine tokens in memory; such as are over and not overwritten yet count.",
	}, func() float64 { return float64(held()) }))
}
