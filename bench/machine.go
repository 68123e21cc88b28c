package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vestibule/secret"
)

// Targets of machine tokens, as ratios measured in the same round.
const (
	maxMachineBare  = 1.5 // processor time to a bare net/http POST handler's
	maxMachineNginx = 2.0 // the same to nginx's
	maxMachineP99   = 1.5 // 99th percentile to nginx's, paced
	// pacedPause is what each connection pauses between requests where the 99th percentile is compared: some 6,000 requests a second.
	// At full load on few processors that figure tells whom the kernel let run, and a bare Go handler's is twice nginx's.
	pacedPause = 10 // ms
)

// post is a token request of a service.
type post struct{ authorization, body string }

// machineStage is what takes part in measuring machine tokens; nginx is nil where there is none.
type machineStage struct {
	bare, nginx, vestibule *target
	post                   post
}

func (s *stage) setMachine(ctx context.Context) error {
	m := &s.machine
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(url.QueryEscape(s.provider.ClientID()), url.QueryEscape(s.provider.ClientSecret()))
	m.post = post{r.Header.Get("Authorization"), "grant_type=client_credentials&scope=vestibule%2Fread+vestibule%2Fwrite"}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	if m.vestibule, err = s.startVestibule(ctx, address, secret.GenerateKey(), "VESTIBULE_MACHINE_ENABLED=true"); err != nil {
		return err
	}
	token, err := m.ask(ctx, m.vestibule.url)
	if err != nil {
		return err
	}
	if m.bare, err = s.startBare(ctx, token, "post"); err != nil {
		return err
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil
	}
	if m.nginx, err = s.startNginx(ctx); err != nil {
		return err
	}
	_, err = m.ask(ctx, m.nginx.url)
	return err
}

func (p post) request(ctx context.Context, origin string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/oauth2/token", strings.NewReader(p.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", p.authorization)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

// ask gets one token, so that what follows are hits.
func (m *machineStage) ask(ctx context.Context, origin string) (string, error) {
	r, err := m.post.request(ctx, origin)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the machine token answer of %s is %s: %s", origin, resp.Status, b)
	}
	return string(b), err
}

// nginxConfig is the cache that AWS describes for nginx, with the lock and with the body in the key: without that it would serve the
// wrong token. It may use every processor, as Vestibule may.
const nginxConfig = `daemon off;
worker_processes auto;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx-error.log;
events { worker_connections 1024; }
http {
  access_log %[1]s/nginx-access.log;
  client_body_temp_path %[1]s/nginx-body;
  proxy_temp_path %[1]s/nginx-proxy;
  fastcgi_temp_path %[1]s/nginx-fastcgi;
  uwsgi_temp_path %[1]s/nginx-uwsgi;
  scgi_temp_path %[1]s/nginx-scgi;
  proxy_cache_path %[1]s/nginx-cache keys_zone=tokens:10m;
  server {
    listen %[2]s;
    client_body_buffer_size 16k;
    location = /oauth2/token {
      proxy_pass %[3]s;
      proxy_cache tokens;
      proxy_cache_methods POST;
      proxy_cache_key "$request_uri|$http_authorization|$request_body";
      proxy_cache_lock on;
      proxy_cache_valid 200 50m;
      proxy_ignore_headers Cache-Control;
    }
  }
}
`

func (s *stage) startNginx(ctx context.Context) (*target, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(s.provider.Issuer())
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, s.dir, address, issuer.Scheme+"://"+issuer.Host)
	if os.Getuid() == 0 { // else its workers would be nobody, who may not enter the folder
		text = "user root;\n" + text
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nginx", "-c", config, "-e", filepath.Join(s.dir, "nginx-error.log"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &target{cmd: cmd, url: "http://" + address}
	for begin := time.Now(); ; {
		resp, err := http.Get(t.url)
		if err == nil {
			return t, resp.Body.Close()
		}
		if time.Since(begin) > 10*time.Second {
			return t, errors.New("nginx does not answer")
		}
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// machineLoads are the bare handler, Vestibule and, if it is there, nginx, in this order.
func (s *stage) machineLoads(suffix string, pause int) []*load {
	m := &s.machine
	loads := []*load{
		{name: "bare net/http POST handler", target: m.bare},
		{name: "machine token, hit", target: m.vestibule},
	}
	if m.nginx != nil {
		loads = append(loads, &load{name: "nginx proxy_cache, lock on", target: m.nginx})
	}
	for _, l := range loads {
		l.name, l.post, l.status, l.pause = l.name+suffix, &m.post, http.StatusOK, pause
	}
	return loads
}

// reportMachine prints the table and fails if a target is missed.
func reportMachine(out io.Writer, loads, paced []*load) error {
	fmt.Fprintf(out, "\n%-34s %12s %8s %8s %8s %10s\n", "", "CPU us/req", "x bare", "p50 ms", "p99 ms", "req/s")
	for i, l := range slices.Concat(loads, paced) {
		bare := loads[0]
		if i >= len(loads) {
			bare = paced[0]
		}
		fmt.Fprintf(out, "%-34s %12.1f %8.2f %8.2f %8.2f %10.0f\n", l.name, median(l.rounds, cpuOf), median(ratios(l.rounds, bare.rounds), cpuOf),
			median(l.rounds, func(r result) float64 { return r.p50 }), median(l.rounds, p99Of), median(l.rounds, func(r result) float64 { return r.rate }))
	}
	hit := loads[1].rounds
	var missed []string
	hold := func(what string, got, most float64) {
		fmt.Fprintf(out, "%s: %.2f (at most %.1f)\n", what, got, most)
		if got > most {
			missed = append(missed, what)
		}
	}
	fmt.Fprintln(out)
	hold("machine token: CPU to the bare handler's", median(ratios(hit, loads[0].rounds), cpuOf), maxMachineBare)
	if len(loads) < 3 {
		fmt.Fprintln(out, "nginx is not installed: no comparison with its cache")
	} else {
		hold("machine token: CPU to nginx's", median(ratios(hit, loads[2].rounds), cpuOf), maxMachineNginx)
		hold("machine token: p99 to nginx's, paced", median(tails(paced[1].rounds, paced[2].rounds), p99Of), maxMachineP99)
	}
	if len(missed) > 0 {
		return fmt.Errorf("missed: %s", strings.Join(missed, ", "))
	}
	return nil
}

// tails compares the 99th percentiles of each round, as ratios does with processor time.
func tails(rounds, other []result) []result {
	out := make([]result, len(rounds))
	for i := range rounds {
		out[i].p99 = rounds[i].p99 / other[i].p99
	}
	return out
}

func cpuOf(r result) float64 { return r.cpu }
func p99Of(r result) float64 { return r.p99 }
