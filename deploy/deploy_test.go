// Package deploy_test holds what containers and clusters are told to what the program does: ports, paths, keys, users, and how long
// stopping takes. Read docs/containers.md and docs/kubernetes.md for what the files are for.
package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"vestibule/config"
	"vestibule/handlers"
	"vestibule/web"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decode reads one YAML document, and refuses what its target has no place for.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var out T
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v in:\n%.400s", err, text)
	}
	return out
}

// object is what is looked at in the manifests. A field's being known and its type are for the check against Kubernetes' own types
// (e2e/deploy).
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Secrets  map[string]string `yaml:"stringData"`
	Spec     struct {
		Replicas int
		Strategy struct {
			RollingUpdate struct {
				MaxUnavailable *int `yaml:"maxUnavailable"` // its default is a quarter
				MaxSurge       int  `yaml:"maxSurge"`
			} `yaml:"rollingUpdate"`
		}
		MaxUnavailable int `yaml:"maxUnavailable"`
		Template       struct {
			Spec struct {
				Grace    int `yaml:"terminationGracePeriodSeconds"`
				Security struct {
					User int `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []container
			}
		}
	}
}

type container struct {
	Args []string
	Env  []struct{ Name, Value string }

	Resources struct{ Limits struct{ Memory string } }

	Ports []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	Startup   probe `yaml:"startupProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Liveness  probe `yaml:"livenessProbe"`
}

type probe struct {
	Get struct{ Path, Port string } `yaml:"httpGet"`

	Period   int `yaml:"periodSeconds"`
	Timeout  int `yaml:"timeoutSeconds"`
	Failures int `yaml:"failureThreshold"`
}

// manifests gives the objects of a file by kind.
func manifests(t *testing.T, name string) map[string]object {
	t.Helper()
	out := map[string]object{}
	documents := yaml.NewDecoder(bytes.NewReader([]byte(read(t, name))))
	for {
		var o object
		err := documents.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if o.Kind != "" {
			out[o.Kind] = o
		}
	}
}

func TestKubernetesIsToldWhatTheProgramDoes(t *testing.T) {
	all := manifests(t, "kubernetes/vestibule.yaml")
	text := all["ConfigMap"].Data["vestibule.yaml"]
	cfg, faults := config.Load(config.Source{Args: []string{"--config=x"}, ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
	if len(faults) > 0 {
		t.Fatalf("its configuration: %v", faults)
	}
	d := all["Deployment"].Spec
	c := d.Template.Spec.Containers[0]
	rolling := d.Strategy.RollingUpdate
	if d.Replicas < 3 || rolling.MaxUnavailable == nil || *rolling.MaxUnavailable != 0 || rolling.MaxSurge < 1 || all["PodDisruptionBudget"].Spec.MaxUnavailable != 1 {
		t.Errorf("replicas %d, %+v: a restart would take from what serves", d.Replicas, rolling)
	}
	grace, needed := time.Duration(d.Template.Spec.Grace)*time.Second, cfg.ShutdownDelay+web.StopTimeout
	if grace < needed+2*time.Second || grace > needed+10*time.Second {
		t.Errorf("terminationGracePeriodSeconds is %s, want a little more than %s: shutdown_delay and web.StopTimeout", grace, needed)
	}
	if noticed := time.Duration(c.Readiness.Period*c.Readiness.Failures+c.Readiness.Timeout) * time.Second; noticed >= cfg.ShutdownDelay {
		t.Errorf("readiness is noticed within %s, want less than shutdown_delay, %s", noticed, cfg.ShutdownDelay)
	}
	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = fmt.Sprintf(":%d", p.Port)
	}
	if ports["http"] != cfg.Listen || ports["admin"] != cfg.AdminListen {
		t.Errorf("ports %v, want listen %s and admin_listen %s", ports, cfg.Listen, cfg.AdminListen)
	}
	for name, want := range map[string]struct {
		got  probe
		path string
	}{"startup": {c.Startup, "/healthz"}, "readiness": {c.Readiness, "/readyz?without=cache"}, "liveness": {c.Liveness, "/healthz"}} {
		if want.got.Get.Path != want.path || want.got.Get.Port != "admin" || want.got.Timeout < 2 {
			t.Errorf("%s: got %+v, want %s at the admin port, with 2 s and more", name, want.got, want.path)
		}
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if user == nil || user[1] == "0" || user[1] != fmt.Sprint(d.Template.Spec.Security.User) {
		t.Errorf("runAsUser %d, and the image's user is %q", d.Template.Spec.Security.User, user)
	}
	for key := range manifests(t, "kubernetes/secret.example.yaml")["Secret"].Secrets {
		if !strings.Contains(text, "file:/secrets/"+key) {
			t.Errorf("the Secret's %s is used nowhere", key)
		}
	}
}

// A process that starts anew knows the stored keys only: with one of them it would sign everybody out whom another key signed in.
func TestASessionKeyRotatesInKubernetesWithoutSigningAnybodyOut(t *testing.T) {
	text := manifests(t, "kubernetes/vestibule.yaml")["ConfigMap"].Data["vestibule.yaml"]
	cfg, faults := config.Load(config.Source{Args: []string{"--config=x"}, ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	secrets := manifests(t, "kubernetes/secret.example.yaml")["Secret"].Secrets
	made := read(t, "kubernetes/secret.example.yaml") + read(t, "../docs/kubernetes.md")
	if len(cfg.Session.Keys) != 2 {
		t.Errorf("got %d session keys, want two: one that seals, and one to swap it with", len(cfg.Session.Keys))
	}
	for _, ref := range cfg.Session.Keys {
		name := strings.TrimPrefix(ref.Reference(), "file:/secrets/")
		if _, is := secrets[name]; !is {
			t.Errorf("%s is not in the Secret", ref.Reference())
		}
		for _, command := range []string{"vestibule keygen > " + name + "\n", "--from-file=" + name + " "} {
			if strings.Count(made, command) != 2 {
				t.Errorf("%q is said %d times, want it in the Secret's file and in docs/kubernetes.md", command, strings.Count(made, command))
			}
		}
		if !strings.Contains(read(t, "../docs/operating.md"), ref.Reference()) {
			t.Errorf("docs/operating.md does not rotate %s", ref.Reference())
		}
	}
}

// What Go keeps within GOMEMLIMIT has to leave room for what it does not count, and half of it is for event streams.
func TestTheMemoryOfAContainerIsEnoughForItsStreams(t *testing.T) {
	const mebi = 1 << 20
	c := manifests(t, "kubernetes/vestibule.yaml")["Deployment"].Spec.Template.Spec.Containers[0]
	var ours int64
	for _, e := range c.Env {
		if e.Name == "GOMEMLIMIT" {
			ours = mebibytes(t, e.Value, "MiB")
		}
	}
	if limit := mebibytes(t, c.Resources.Limits.Memory, "Mi"); ours == 0 || ours > limit*4/5 {
		t.Errorf("GOMEMLIMIT is %d MiB, want one of at most four fifths of the container's %d", ours, limit)
	}
	streams := handlers.StreamsWithin(ours * mebi)
	if room := ours*mebi - int64(streams)*32*1024; room < 64*mebi {
		t.Errorf("%d streams leave %d MiB, want 64 for everything else", streams, room/mebi)
	}
	if want := fmt.Sprintf("%d event streams", streams); !strings.Contains(read(t, "../docs/kubernetes.md"), want) {
		t.Errorf("docs/kubernetes.md does not say %q", want)
	}
}

func mebibytes(t *testing.T, text, unit string) int64 {
	t.Helper()
	number, is := strings.CutSuffix(text, unit)
	n, err := strconv.ParseInt(number, 10, 64)
	if !is || err != nil {
		t.Fatalf("%q is no number of %s", text, unit)
	}
	return n
}

type composeFile struct {
	Services map[string]struct {
		Profiles    []string
		Command     any
		Environment map[string]string
		Ports       []string
		Grace       string `yaml:"stop_grace_period"`
	}
}

func TestComposeStartsWhatTheProgramServes(t *testing.T) {
	all := decode[composeFile](t, read(t, "../docker-compose.yml"))
	if demo, is := all.Services["demo"]; !is || len(demo.Profiles) > 0 {
		t.Error("without a profile the demo does not start")
	}
	nginx := read(t, "compose/nginx.conf")
	profiles := map[string]int{} // → Vestibules beside the demo
	for name, s := range all.Services {
		if name != "demo" && len(s.Profiles) == 0 {
			t.Errorf("%s starts without a profile: the demo alone is the default", name)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: %s is published to everybody", name, p)
			}
		}
		if s.Environment["VESTIBULE_LISTEN"] == "" {
			continue
		}
		for _, p := range s.Profiles {
			profiles[p]++
		}
		look := func(key string) (string, bool) { v, ok := s.Environment[key]; return v, ok }
		cfg, faults := config.Load(config.Source{LookupEnv: look, Environ: func() []string {
			var out []string
			for key, value := range s.Environment {
				out = append(out, key+"="+value)
			}
			return out
		}})
		if len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
		if !strings.Contains(nginx, "server "+cfg.Listen+" ") {
			t.Errorf("%s listens on %s, which nginx does not know", name, cfg.Listen)
		}
		if grace, err := time.ParseDuration(s.Grace); err != nil || grace < cfg.ShutdownDelay+web.StopTimeout {
			t.Errorf("%s: stop_grace_period is %q, want %s and more", name, s.Grace, cfg.ShutdownDelay+web.StopTimeout)
		}
	}
	for profile, want := range map[string]int{"nginx": 1, "redis": 1, "dynamodb": 1, "replicas": 3} {
		if profiles[profile] != want {
			t.Errorf("profile %s has %d Vestibules beside the demo, want %d", profile, profiles[profile], want)
		}
	}
}

func TestTheImageIsMadeWithTheGoOfTheModule(t *testing.T) {
	inModule := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	inImage := regexp.MustCompile(`(?m)^ARG GO_VERSION=(\S+)$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if inModule == nil || inImage == nil || inModule[1] != inImage[1] {
		t.Errorf("go.mod says %v, the Dockerfile %v", inModule, inImage)
	}
}

// allowed are the folders and files that .dockerignore lets into the build.
func allowed(t *testing.T) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(read(t, "../.dockerignore")) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "!"); is {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
