package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"vestibule/kv"
)

// cacheMetrics is what /metrics tells of a cache that lies outside the process.
type cacheMetrics struct {
	calls *prometheus.HistogramVec
	open  prometheus.Gauge
	stuck prometheus.Gauge
}

func newCacheMetrics(r *prometheus.Registry) cacheMetrics {
	m := cacheMetrics{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vestibule_cache_call_duration_seconds", Help: "Calls to the cache outside the process, by operation and outcome: ok, full, no_writes, fault, timeout, abandoned (the caller went away), refused (not asked: the breaker is open).",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"operation", "outcome"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vestibule_cache_breaker_open", Help: "1 while the cache is left alone because it does not answer, 0 otherwise.",
		}),
		stuck: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vestibule_cache_refuses_writes", Help: "1 while the cache answers and refuses writes, 0 otherwise.",
		}),
	}
	r.MustRegister(m.calls, m.open, m.stuck)
	return m
}

// Cache counts and times calls to the cache.
func (m *Metrics) Cache(c kv.Call) {
	m.cache.calls.WithLabelValues(c.Operation, c.Outcome).Observe(c.Duration.Seconds())
}

// CacheLeftAlone tells whether the breaker before the cache is open.
func (m *Metrics) CacheLeftAlone(open bool) { m.cache.open.Set(oneIf(open)) }

// CacheRefusesWrites tells whether the cache answers and takes no writes.
func (m *Metrics) CacheRefusesWrites(refuses bool) { m.cache.stuck.Set(oneIf(refuses)) }

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
