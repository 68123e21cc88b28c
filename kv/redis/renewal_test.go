package redis_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vestibule/kv"
	"vestibule/kv/redis/redistest"
)

// renew writes what an authority issues over the files of a server and its client.
func (a *authority) renew(server *redistest.Server) {
	a.t.Helper()
	cert, key := a.issue("")
	clientCert, clientKey := a.issue("client")
	for name, content := range map[string][]byte{"ca": a.pem, "client-ca": a.pem, "cert": cert, "key": key, "client-cert": clientCert, "client-key": clientKey} {
		a.write(server, name, content)
	}
}

func (a *authority) write(server *redistest.Server, name string, content []byte) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(server.Dir, name), content, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// strict is the URL of a server that wants a client certificate, with the files in its folder.
func strict(server *redistest.Server) string {
	at := func(name string) string { return filepath.Join(server.Dir, name) }
	return "rediss://" + server.Addr() + "?ca_file=" + at("client-ca") + "&cert_file=" + at("client-cert") + "&key_file=" + at("client-key") + "&" + patient
}

func TestRenewedCertificatesNeedNoRestart(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server := a.serve("", "yes")
	a.renew(server)
	server.Restart()
	s := open(t, strict(server))
	put(t, s, "before", kv.Absent)
	newAuthority(t).renew(server)
	server.Restart()
	put(t, s, "after", kv.Absent)
}

func TestCertificateFilesThatAreHalfWrittenLeaveTheLastGoodOnesInUse(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	server, log := a.serve("", "yes"), new(buffer)
	a.renew(server)
	s := openLogged(t, strict(server), slog.New(slog.NewTextHandler(log, nil)))
	cert, key := a.issue("client")
	for name, meddle := range map[string]func(){
		"half a certificate": func() { a.write(server, "client-cert", cert[:len(cert)/2]) },
		"another's key":      func() { a.write(server, "client-cert", cert) },
		"no authority":       func() { a.write(server, "client-ca", nil) },
		"no key": func() {
			if err := os.Remove(filepath.Join(server.Dir, "client-key")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a.renew(server)
			server.Restart()
			put(t, s, "good", kv.Any)
			log.reset()
			meddle()
			for range 2 {
				server.Restart() // cuts all connections
				put(t, s, "in between", kv.Any)
			}
			if said := log.String(); strings.Count(said, "cannot be used") != 1 || strings.Contains(said, server.Dir) {
				t.Errorf("the log says:\n%s\nwant one line about it, without the path", said)
			}
			a.write(server, "client-ca", a.pem)
			a.write(server, "client-cert", cert)
			a.write(server, "client-key", key)
			log.reset()
			server.Restart() // cuts all connections
			put(t, s, "good again", kv.Any)
			if said := log.String(); strings.Count(said, "new connections use them") != 1 {
				t.Errorf("the log says:\n%s\nwant that the new ones are used", said)
			}
		})
	}
}
