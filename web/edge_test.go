package web_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vestibule/handlers"
	"vestibule/web"
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := web.New(web.Config{}); err == nil || !strings.Contains(err.Error(), "Handlers") {
		t.Errorf("got %v, want an error that names the fields", err)
	}
}

// A panic is one record with a stack and a 500, and the process goes on.
func TestAPanicIsOneRecordAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	s, logs := newServer(t, func(c *web.Config) {
		c.Home = func(x *handlers.Exchange) error {
			if x.QueryParam("late") != "" {
				_, _ = x.Response().Write([]byte("half an answer"))
				x.Response().Flush()
			}
			panic("the secret reason")
		}
	})
	r := run(t, s)
	for range 2 {
		status, body := ask(t, http.MethodGet, "http://"+r.public+"/")
		if status != http.StatusInternalServerError || strings.Contains(body, "secret reason") || strings.Contains(body, "goroutine") {
			t.Errorf("got %d %s, want 500 that tells nothing", status, body)
		}
	}
	if got, _ := raw(t, r.public, "GET /?late=1 HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.Contains(got, "half an answer") || strings.HasSuffix(got, "0\r\n\r\n") {
		t.Errorf("got %q, want the connection cut in the middle: half an answer must not look like a whole one", got)
	}
	if status, _ := ask(t, http.MethodGet, "http://"+r.public+"/healthz"); status != http.StatusOK {
		t.Errorf("afterwards: got %d, want 200", status)
	}
	records := logs.records()
	if len(records) != 4 {
		t.Fatalf("got %d records for 4 requests:\n%s", len(records), strings.Join(records, "\n"))
	}
	for _, line := range records[:3] {
		if !strings.Contains(line, "the secret reason") || !strings.Contains(line, "edge_test.go") || !strings.Contains(line, "level=ERROR") {
			t.Errorf("got %s, want an error with its stack", line)
		}
	}
	if !strings.Contains(records[0], "status=500") || !strings.Contains(records[0], "route=/") {
		t.Errorf("got %s, want status and route", records[0])
	}
}

func TestHeadersBeyondTheBoundAre431(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, nil)
	r := run(t, s)
	for _, row := range []struct {
		name  string
		bytes int
		want  string
	}{{"31 kB of cookies", 31 << 10, "HTTP/1.1 401"}, {"33 kB of cookies", 33 << 10, "HTTP/1.1 431"}, {"a megabyte", 1 << 20, "HTTP/1.1 431"}} {
		request := "GET /api/cognito-token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: a=" + strings.Repeat("x", row.bytes) + "\r\n\r\n"
		if row.bytes > 64<<10 {
			request = request[:64<<10] // the server does not wait for the rest
		}
		if got, _ := raw(t, r.public, request); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: got %.60q, want %s", row.name, got, row.want)
		}
	}
}

// Whoever sends a header byte by byte holds a connection for five seconds and no longer.
func TestASlowHeaderIsCut(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, nil)
	r := run(t, s)
	_, took := raw(t, r.public, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if took < 4*time.Second || took > 8*time.Second {
		t.Errorf("the connection was closed after %s, want about 5 s", took)
	}
}

func TestEveryRequestIsOneRecordOfItsRouteAndNotItsPath(t *testing.T) {
	t.Parallel()
	s, logs := newServer(t, nil)
	r := run(t, s)
	for _, row := range []struct {
		method, path string
		want         []string
	}{
		{"GET", "/api/cognito-token?password=hunter2", []string{"route=/api/cognito-token", "status=401", "session=none", "method=GET", "level=INFO"}},
		{"GET", "/api/auth/session", []string{"route=/api/auth/session", "status=401"}},
		{"GET", "/static/app.css", []string{"route=/static/*", "status=200", "level=DEBUG"}},
		{"GET", "/readyz", []string{"route=/readyz", "status=503", "level=DEBUG"}},
		{"GET", "/nowhere?code=hunter2", []string{"route=*", "path=/nowhere", "status=404"}},
		{"GET", "/" + strings.Repeat("long", 200), []string{"route=*", "status=404"}},
		{"BREW", "/api/cognito-token", []string{"method=other", "status=405", "route=/api/cognito-token"}},
		{"GET", "/api/cognito-token/", []string{"route=/api/cognito-token", "status=308"}},
	} {
		before := len(logs.records())
		ask(t, row.method, "http://"+r.public+row.path)
		records := logs.records()
		if len(records) != before+1 {
			t.Fatalf("%s %s: %d records, want one", row.method, row.path, len(records)-before)
		}
		line := records[before]
		for _, want := range row.want {
			if !strings.Contains(line, want) {
				t.Errorf("%s %.40s: got %s, want %s in it", row.method, row.path, line, want)
			}
		}
		if strings.Contains(line, "hunter2") || strings.Contains(line, "BREW") || len(line) > 700 {
			t.Errorf("%s %.40s: the record repeats a query or what a stranger wrote: %s", row.method, row.path, line)
		}
	}
	records := logs.records()
	ask(t, http.MethodGet, "http://"+r.public+"/api/cognito-token", "Sec-Fetch-Site: cross-site")
	if line := logs.records()[len(records)]; !strings.Contains(line, "denied=cross_site") {
		t.Errorf("got %s, want the reason of the refusal", line)
	}
}

func TestMetricsNameRoutesAndNeverPaths(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t, nil)
	r := run(t, s)
	for _, path := range []string{"/api/cognito-token?a=hunter2", "/api/cognito-token", "/nowhere-special", "/static/app.css"} {
		ask(t, http.MethodGet, "http://"+r.public+path)
	}
	ask(t, "BREW", "http://"+r.public+"/nowhere-special")
	status, body := ask(t, http.MethodGet, "http://"+r.admin+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	for _, want := range []string{
		`vestibule_http_requests_total{method="GET",route="/api/cognito-token",status="401"} 2`,
		`vestibule_http_requests_total{method="GET",route="*",status="404"} 1`,
		`vestibule_http_requests_total{method="other",route="*",status="404"} 1`,
		`vestibule_http_requests_total{method="GET",route="/static/*",status="200"} 1`,
		`vestibule_http_request_duration_seconds_count{route="/api/cognito-token"} 2`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("want %s", want)
		}
	}
	for _, leak := range []string{"hunter2", "nowhere-special", "BREW"} {
		if strings.Contains(body, leak) {
			t.Errorf("the metrics repeat %s", leak)
		}
	}
	if status, _ := ask(t, http.MethodGet, "http://"+r.public+"/metrics"); status != http.StatusNotFound {
		t.Errorf("/metrics on the public listener: got %d, want 404", status)
	}
	for _, path := range []string{"/api/cognito-token", "/login", "/api/auth/sign-in"} {
		if status, _ := ask(t, http.MethodGet, "http://"+r.admin+path); status != http.StatusNotFound {
			t.Errorf("%s on the admin listener: got %d, want 404", path, status)
		}
	}
	if status, body := ask(t, http.MethodGet, "http://"+r.admin+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz on the admin listener: got %d %s", status, body)
	}
}

// X-Forwarded-For is a list that strangers may begin: only what trusted proxies appended counts.
func TestTheClientsAddress(t *testing.T) {
	t.Parallel()
	loopback, inner := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")
	for _, row := range []struct {
		name    string
		trusted []netip.Prefix
		forward []string
		want    string
	}{
		{"without the header it is the peer's", []netip.Prefix{loopback}, nil, "127.0.0.1"},
		{"nobody is trusted by default", nil, []string{"203.0.113.9"}, "127.0.0.1"},
		{"a trusted proxy tells", []netip.Prefix{loopback}, []string{"203.0.113.9"}, "203.0.113.9"},
		{"what stands left of it is hearsay", []netip.Prefix{loopback}, []string{"8.8.8.8, 203.0.113.9"}, "203.0.113.9"},
		{"proxies of ours are passed over", []netip.Prefix{loopback, inner}, []string{"203.0.113.9, 10.1.2.3"}, "203.0.113.9"},
		{"several lines are one list", []netip.Prefix{loopback, inner}, []string{"203.0.113.9", "10.1.2.3"}, "203.0.113.9"},
		{"all of them ours", []netip.Prefix{loopback, inner}, []string{"10.9.9.9, 10.1.2.3"}, "10.9.9.9"},
		{"rubbish ends the walk", []netip.Prefix{loopback, inner}, []string{"203.0.113.9, unknown, 10.1.2.3"}, "10.1.2.3"},
		{"rubbish alone is not believed", []netip.Prefix{loopback}, []string{"<script>"}, "127.0.0.1"},
		{"IPv4 in IPv6 is IPv4", []netip.Prefix{loopback}, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, logs := newServer(t, func(c *web.Config) { c.TrustedProxies = row.trusted })
			r := run(t, s)
			var headers []string
			for _, line := range row.forward {
				headers = append(headers, "X-Forwarded-For: "+line)
			}
			ask(t, http.MethodGet, "http://"+r.public+"/healthz", headers...)
			if got := logs.records()[0]; !strings.Contains(got, "client="+row.want+" ") && !strings.HasSuffix(got, "client="+row.want) {
				t.Errorf("got %s, want client=%s", got, row.want)
			}
		})
	}
}

// The router would answer these in its own way: no record, no form of ours.
func TestTargetsThatAreNoPathsAreAnsweredHere(t *testing.T) {
	s, logs := newServer(t, nil)
	r := run(t, s)
	for request, want := range map[string]string{
		"GET http://" + r.public + " HTTP/1.1":      "404",
		"GET http://" + r.public + "?a=b HTTP/1.1":  "404",
		"GET http://other.example/healthz HTTP/1.1": "200",
		"CONNECT " + r.public + " HTTP/1.1":         "404",
		"GET /%68ealthz HTTP/1.1":                   "404",
		"GET /%68ealthz/ HTTP/1.1":                  "404",
		"GET /login%2f HTTP/1.1":                    "404",
		"GET /static/%61pp.css HTTP/1.1":            "404",
		"FOO /%68ealthz/ HTTP/1.1":                  "404",
		"GET /healthz/ HTTP/1.1":                    "308",
		"GET /static/app.css HTTP/1.1":              "200",
	} {
		answer, _ := raw(t, r.public, request+"\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 "+want+" ") {
			t.Errorf("%s: got %.60q, want %s", request, answer, want)
		}
		if want == "404" && !strings.Contains(answer, `{"error":"Not Found"}`) {
			t.Errorf("%s: got %q, want our own 404", request, answer)
		}
	}
	if got, want := len(logs.records()), 11; got != want {
		t.Errorf("%d records, want %d", got, want)
	}
}

func TestABodyThatNobodyReadsIsNotWaitedFor(t *testing.T) {
	s, _ := newServer(t, nil)
	r := run(t, s)
	for _, target := range []string{"/healthz", "/api/auth/verify", "/api/cognito-token", "/nothing"} {
		answer, took := raw(t, r.public, "GET "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 ") || !strings.Contains(answer, "Connection: close") || took > 5*time.Second {
			t.Errorf("%s: got %.60q after %s, want an answer at once and the connection closed", target, answer, took)
		}
	}
}
