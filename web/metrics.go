package web

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vestibule/idp"
	"vestibule/session"
)

// Metrics is what /metrics tells. Labels come from the route table and from fixed words, never from a request.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	refreshes  *prometheus.CounterVec
	degraded   *prometheus.CounterVec
	secrets    prometheus.Counter
	provider   *prometheus.HistogramVec
	pending    *prometheus.CounterVec
	adoptions  *prometheus.CounterVec
	opened     *prometheus.CounterVec
	ended      *prometheus.CounterVec
	cookieSize prometheus.Histogram
	remembered prometheus.Counter
	unpacked   prometheus.Counter
	cache      cacheMetrics
	machine    machineMetrics
}

// NewMetrics makes the metrics in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_http_requests_total", Help: "Requests by route pattern, method and status.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vestibule_http_request_duration_seconds", Help: "Time to answer, by route pattern.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, []string{"route"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_refreshes_total", Help: "Ends of refresh flights: refreshed, adopted (made elsewhere), unavailable, or why the session was over (refused, untrusted, signed_out, ...).",
		}, []string{"outcome"}),
		degraded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_cache_degraded_total", Help: "What was done without the cache: a refresh coordinated in this process alone, a revocation not seen or not recorded, a session (server mode) that nobody can look up, use of a session (idle) that could not be noted.",
		}, []string{"what"}),
		secrets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vestibule_secret_refresh_failures_total", Help: "Secrets that could not be read afresh; the last good value is in use.",
		}),
		provider: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vestibule_provider_request_duration_seconds", Help: "Requests to the provider, by operation and outcome.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation", "outcome"}),
		pending: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_pending_sign_ins_total", Help: "Pending sign-ins: begun, taken (came back), evicted (too many in one browser).",
		}, []string{"event"}),
		adoptions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_adoptions_total", Help: "Requests that brought a session of Amplify's adapter whose tokens are good: adopted, or why it was over (signed_out, refused, expired, ...).",
		}, []string{"outcome"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_sessions_ended_total", Help: "Endings by this process, of one session or of all of a person, by reason (signed_out, replaced, refused, revoked, provider_logout, ...). Those that run out by themselves are not among them.",
		}, []string{"reason"}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vestibule_session_cookies_opened_total", Help: "Session cookies accepted: remembered, or opened because they were not known.",
		}, []string{"how"}),
		cookieSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vestibule_session_cookie_bytes", Help: "Names and values of the cookies of one session, when written.",
			Buckets: []float64{512, 1024, 2048, 2560, 3072, 3400, 4096, 6144, 8192, 12288, 16384},
		}),
	}
	m.remembered, m.unpacked = m.opened.WithLabelValues("remembered"), m.opened.WithLabelValues("opened")
	m.machine, m.cache = newMachineMetrics(m.registry), newCacheMetrics(m.registry)
	m.registry.MustRegister(m.requests, m.durations, m.refreshes, m.degraded, m.secrets, m.provider, m.pending, m.adoptions, m.opened, m.ended, m.cookieSize,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Session counts what happens to sessions.
func (m *Metrics) Session(e session.Event) {
	switch e.Kind {
	case session.EventRemembered:
		m.remembered.Inc()
	case session.EventOpened:
		m.unpacked.Inc()
	case session.EventRefresh:
		m.refreshes.WithLabelValues(e.Outcome).Inc()
	case session.EventRefreshDegraded:
		m.degraded.WithLabelValues("refresh").Inc()
	case session.EventRevocationBlind:
		m.degraded.WithLabelValues("revocation").Inc()
	case session.EventStoreDown:
		m.degraded.WithLabelValues("session").Inc()
	case session.EventIdleBlind:
		m.degraded.WithLabelValues("idle").Inc()
	case session.EventEnded:
		m.ended.WithLabelValues(e.Outcome).Inc()
	case session.EventCookie:
		m.cookieSize.Observe(float64(e.Bytes))
	case session.EventAdoption:
		m.adoptions.WithLabelValues(e.Outcome).Inc()
	case session.EventPendingBegun:
		m.pending.WithLabelValues("begun").Inc()
	case session.EventPendingTaken:
		m.pending.WithLabelValues("taken").Inc()
	case session.EventPendingEvicted:
		m.pending.WithLabelValues("evicted").Inc()
	}
}

// streams tells how many event streams are open, as held counts them when it is asked. It is called once.
func (m *Metrics) streams(held func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vestibule_event_streams", Help: "Event streams ({auth}/events) that are open.",
	}, func() float64 { return float64(held()) }))
}

// SecretFailed counts a secret that could not be read afresh.
func (m *Metrics) SecretFailed() { m.secrets.Inc() }

// Provider counts and times calls to the provider.
func (m *Metrics) Provider(c idp.Call) {
	m.provider.WithLabelValues(c.Operation, c.Outcome).Observe(c.Duration.Seconds())
}

type rowMetrics struct {
	requests *prometheus.CounterVec // of this route
	duration prometheus.Observer
}

func (m *Metrics) row(route string) rowMetrics {
	return rowMetrics{
		requests: m.requests.MustCurryWith(prometheus.Labels{"route": route}),
		duration: m.durations.WithLabelValues(route),
	}
}

func (r rowMetrics) observe(method string, status int, took time.Duration) {
	r.requests.WithLabelValues(method, statusLabel(status)).Inc()
	r.duration.Observe(took.Seconds())
}

func statusLabel(status int) string {
	if status == 200 {
		return "200"
	}
	return strconv.Itoa(status)
}
