// Package dynamodbtest runs a real server that speaks DynamoDB's language for tests: dynalite, from e2e's npm packages. It owns the
// process, and refuses to leave it behind: a server dies with the test, also when the test is killed. It keeps nothing on disk,
// so a restarted server has forgotten everything, its tables included.
//
//	Start → Server.Table → URL → Pause, Resume, Stop, Restart
//
// dynalite checks no signatures and never removes what its ttl says. Everything is in this file.
package dynamodbtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vestibule/kv/kvtest/testproc"
)

const (
	startLimit = 30 * time.Second // a start takes some 200 ms on an idle machine
	attempts   = 5                // another process may take the free port first
	program    = "e2e/node_modules/dynalite/cli.js"
)

// Region is what URLs name; the server takes any.
const Region = "eu-west-1"

// forgiving keeps dynalite alive when a client goes in the middle of a request, as one does that is killed: it would take that for a
// fault of its own and end.
const forgiving = `data:text/javascript,process.on("uncaughtException", (e) => { if (e.code !== "ECONNRESET") throw e; })`

// Server is a running server.
type Server struct {
	Port int

	t      testing.TB
	script string
	tables atomic.Int64
	server testproc.Process
}

// Start runs a server until the test ends. Where node or dynalite is missing the test is skipped, and fails under CI=true.
// The AWS SDK wants credentials, which the server does not look at: see Credentials.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t}
	var err error
	if s.script, err = find(); err != nil {
		missing := err.Error() + ": run e2e/setup.sh"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	t.Cleanup(s.Stop)
	for range attempts {
		if s.Port, err = testproc.FreePort(); err != nil {
			t.Fatal(err)
		}
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatalf("start dynalite: %v", err)
	return nil
}

// Credentials are what the environment needs to hold for the AWS SDK to sign requests, and not to look for credentials or
// settings anywhere else.
func Credentials() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// find looks for the program in the folder of the module's go.mod.
func find() (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", errors.New("node is missing")
	}
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			return "", errors.New("there is no go.mod above the test")
		}
		at = filepath.Dir(at)
	}
	script := filepath.Join(at, filepath.FromSlash(program))
	if _, err := os.Stat(script); err != nil {
		return "", errors.New(program + " is missing")
	}
	return script, nil
}

// Endpoint is http:// and the address.
func (s *Server) Endpoint() string { return "http://" + s.Addr() }

// Addr is the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// URL is that of a new table, for dynamodb.Config.
func (s *Server) URL() string {
	s.t.Helper()
	return "dynamodb://" + s.Table() + "?region=" + Region + "&endpoint=" + s.Endpoint()
}

// Table makes a new table with the key that the store wants, and gives its name.
func (s *Server) Table() string {
	s.t.Helper()
	name := fmt.Sprintf("table-%d", s.tables.Add(1))
	s.Create(name, "pk")
	return name
}

// Create makes a table with a string of the given name for its key.
func (s *Server) Create(table, key string) {
	s.t.Helper()
	s.Ask("CreateTable", fmt.Sprintf(`{"TableName":%q,"AttributeDefinitions":[{"AttributeName":%q,"AttributeType":"S"}],`+
		`"KeySchema":[{"AttributeName":%q,"KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`, table, key, key))
	for !strings.Contains(s.Ask("DescribeTable", fmt.Sprintf(`{"TableName":%q}`, table)), `"TableStatus":"ACTIVE"`) {
	}
}

// Ask sends one request past the store, such as "Scan" with its JSON, and gives the answer.
func (s *Server) Ask(operation, body string) string {
	s.t.Helper()
	answer, err := s.Try(operation, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// Try is Ask for a request that may be refused.
func (s *Server) Try(operation, body string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, s.Endpoint(), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/"+Region+"/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	r.Close = true
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", fmt.Errorf("%s: %w", operation, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s %w", operation, res.Status, answer, err)
	}
	return string(answer), nil
}

// Stop kills the server without warning. It may be called more than once.
func (s *Server) Stop() { s.server.Stop() }

// Restart kills the server and starts it anew at the same address, with nothing in it.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart dynalite: %v", err)
	}
}

// Pause stops the process without closing its connections: it answers nothing until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(what syscall.Signal) {
	s.t.Helper()
	if err := s.server.Signal(what); err != nil {
		s.t.Fatalf("signal dynalite: %v", err)
	}
}

func (s *Server) run() error {
	return s.server.Run(startLimit, func(line string) bool { return strings.Contains(line, "listening at") },
		"node", "--import", forgiving, s.script, "--host", "127.0.0.1", "--port", strconv.Itoa(s.Port), "--createTableMs", "1")
}
