package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How a cluster learns of what is ready.
const (
	probeEvery  = 100 * time.Millisecond
	endpointLag = 300 * time.Millisecond // until what a probe found out has come to whoever spreads connections
)

// entrance spreads connections over the replicas that are ready, as a Kubernetes Service does: it knows no requests, tries nothing
// twice, and leaves open connections where they are.
type entrance struct {
	mu    sync.Mutex
	ready map[string]bool
	order []string
	next  int
	open  sync.WaitGroup
}

// probedEntrance is an entrance at the address that it returns, until the test ends.
func probedEntrance(t *testing.T, replicas []string) string {
	t.Helper()
	e := &entrance{ready: map[string]bool{}, order: replicas}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	for _, r := range replicas {
		e.open.Go(func() { e.probe(r, over) })
	}
	e.open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.open.Go(func() { e.carry(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); close(over); e.open.Wait() })
	return l.Addr().String()
}

// probe asks as a kubelet does, with a connection for each question. What it finds is known to the entrance a while later.
func (e *entrance) probe(replica string, over <-chan struct{}) {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		res, err := client.Get("http://" + replica + "/readyz")
		if err == nil {
			_ = res.Body.Close()
		}
		yes := err == nil && res.StatusCode == http.StatusOK
		time.AfterFunc(endpointLag, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.ready[replica] = yes
		})
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

func (e *entrance) pick() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for range e.order {
		e.next++
		if r := e.order[e.next%len(e.order)]; e.ready[r] {
			return r
		}
	}
	return ""
}

func (e *entrance) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", e.pick())
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { pour(server, client) })
	both.Go(func() { pour(client, server) })
	both.Wait()
}

const nginxRolling = `daemon off; pid {dir}/pid; error_log {dir}/error.log warn; worker_processes 1;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream vestibule { {servers} keepalive 16; }
  server {
    listen {address};
    large_client_header_buffers 4 32k; proxy_buffer_size 16k; proxy_buffers 8 16k;
    location / { proxy_pass http://vestibule; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }
  }
}`

// nginxEntrance is a real nginx, which keeps connections to the replicas and learns that one is gone when it takes none.
func nginxEntrance(t *testing.T, replicas []string) string {
	t.Helper()
	const nginx = "/usr/sbin/nginx"
	if _, err := os.Stat(nginx); err != nil {
		const missing = "nginx is missing: run e2e/setup.sh, or install it"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	dir, address, servers := t.TempDir(), freeAddress(t), ""
	for _, r := range replicas {
		servers += fmt.Sprintf("server %s max_fails=0; ", r)
	}
	file := filepath.Join(dir, "nginx.conf")
	conf := strings.NewReplacer("{dir}", dir, "{servers}", servers, "{address}", address).Replace(nginxRolling)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &screen{}
	cmd := exec.Command(nginx, "-p", dir, "-e", dir+"/error.log", "-g", "master_process off; user root;", "-c", file)
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if log, _ := os.ReadFile(dir + "/error.log"); t.Failed() {
			t.Logf("nginx said:\n%s%.4000s", said, log)
		}
	})
	until(t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return address
}
