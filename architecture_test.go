// Package vestibule_test keeps the laws of the house: which package may import which, and what every package owes its
// reader. Each law says why it is one, so that whoever breaks it knows what to weigh.
package vestibule_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "vestibule"

// pkg is one folder with Go files.
type pkg struct {
	path  string // within the module: "idp/devidp"; "." for the root
	code  []*ast.File
	tests []*ast.File
}

// house is everything that is ours, by path.
type house struct {
	fset     *token.FileSet
	packages map[string]*pkg
}

func read(t *testing.T) house {
	t.Helper()
	h := house{fset: token.NewFileSet(), packages: map[string]*pkg{}}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		return h.add(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.packages) < 10 {
		t.Fatalf("only %d packages were found: this would prove nothing", len(h.packages))
	}
	return h
}

func (h house) add(name string) error {
	file, err := parser.ParseFile(h.fset, name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	at := path.Dir(filepath.ToSlash(name))
	if h.packages[at] == nil {
		h.packages[at] = &pkg{path: at}
	}
	if strings.HasSuffix(name, "_test.go") {
		h.packages[at].tests = append(h.packages[at].tests, file)
	} else {
		h.packages[at].code = append(h.packages[at].code, file)
	}
	return nil
}

// imports are the import paths of files, sorted, each once.
func imports(files []*ast.File) []string {
	var out []string
	for _, f := range files {
		for _, spec := range f.Imports {
			name, _ := strconv.Unquote(spec.Path.Value) // the parser has seen to it
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ours gives the path within the module of an import of ours.
func ours(name string) (string, bool) { return strings.CutPrefix(name, module+"/") }

// isIn reports whether a package is root or lies below it.
func isIn(name string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return name == root || strings.HasPrefix(name, root+"/") })
}

// layers says what each part may import of ours. The parts of one row of the design do not know each other: what two of them
// share stands below both, and what joins them stands above.
func layers() map[string][]string {
	return map[string][]string{
		"secret":             nil,
		"kv":                 nil,
		"static":             nil,
		"views":              {"static"},
		"config":             {"secret"},
		"idp":                {"secret", "kv"},
		"idp/cognito":        {"secret", "kv"},
		"loopback":           nil,
		"lab":                {"loopback"},
		"idp/devidp":         {"loopback"},
		"session":            {"secret", "kv"},
		"machine":            {"secret", "kv"},
		"upstream":           {"secret", "kv"},
		"upstream/eventsdev": {"loopback"},
		"handlers":           {"session", "machine", "upstream", "idp", "views", "kv", "secret"},
		"web":                {"handlers", "session", "machine", "upstream", "idp", "views", "kv", "secret", "static"},
		"cmd":                {"config", "web", "handlers", "session", "machine", "upstream", "idp", "views", "static", "kv", "secret", "loopback", "lab"},
		"e2e":                {"idp/devidp", "upstream/eventsdev", "loopback"},
		"bench":              {"config", "web", "handlers", "session", "machine", "upstream", "idp", "views", "static", "kv", "secret"},
		"kv/kvtest":          {"kv"},
		"kv/redis":           {"kv", "secret"},
		"kv/dynamodb":        {"kv", "secret"},
		"kv/momento":         {"kv", "secret"},
	}
}

// layer is the longest known path that a package lies in.
func layer(name string) (string, bool) {
	best, found := "", false
	for known := range layers() {
		if isIn(name, known) && len(known) >= len(best) {
			best, found = known, true
		}
	}
	return best, found
}

func TestImportsRunOneWay(t *testing.T) {
	h := read(t)
	for name, p := range h.packages {
		if len(p.code) == 0 {
			continue
		}
		own, known := layer(name)
		if !known {
			t.Errorf("%s has no place in the house: give it one in layers, with what it may import", name)
			continue
		}
		for _, imported := range imports(p.code) {
			target, is := ours(imported)
			if !is || isIn(target, own) && !isIn(target, "idp/devidp", "upstream/eventsdev") {
				continue
			}
			if !isIn(target, layers()[own]...) {
				t.Errorf("%s imports %s: imports run cmd → web → handlers → {session, machine, upstream, idp, views} → {kv, secret}, "+
					"so that each part can be read, tested and replaced without those above or beside it", name, imported)
			}
		}
	}
}

func TestOnlyCmdImportsConfig(t *testing.T) {
	for name, p := range read(t).packages {
		if !isIn(name, "cmd", "config") && slices.Contains(imports(p.code), module+"/config") {
			t.Errorf("%s imports config: a part that reads the configuration cannot be used or tested without a whole one; "+
				"take a Config of your own and let cmd fill it in", name)
		}
	}
}

// TestEachFrameworkHasItsPlace also says which vendor's SDK may stand where: one package each, so that a vendor can be
// replaced, or left out of a build, by looking at one folder. A place may be kept for a package that is not there yet; one that
// is there and imports nothing of it has to give it up.
func TestEachFrameworkHasItsPlace(t *testing.T) {
	allowed := map[string][]string{ // import path prefix → packages
		"github.com/labstack/":                                         {"handlers", "web", "bench/bare"}, // the last is what benchmarks compare with
		"github.com/gorilla/":                                          {"session"},
		"github.com/coreos/go-oidc":                                    {"idp"},
		"golang.org/x/oauth2":                                          {"idp", "e2e/machine/service"},              // the last stands for other people's services
		"github.com/go-jose/":                                          {"idp", "idp/devidp", "upstream/eventsdev"}, // the last two stand for AWS's side and must not share our mistakes
		"github.com/coder/websocket":                                   {"upstream/eventsdev"},
		"github.com/mileusna/useragent":                                {"handlers"},
		"github.com/a-h/templ":                                         {"views", "handlers", "idp/devidp"},
		"github.com/prometheus/":                                       {"web"},
		"github.com/klauspost/":                                        {"session"},
		"github.com/goccy/go-yaml":                                     {"config"},
		"github.com/rogpeppe/":                                         {},
		"github.com/redis/":                                            {"kv/redis"},
		"github.com/sony/gobreaker":                                    {"kv"},
		"github.com/VictoriaMetrics/fastcache":                         {"machine"},
		"golang.org/x/time":                                            {"machine"},
		"golang.org/x/term":                                            {"cmd/vestibule"},
		"github.com/momentohq/":                                        {"kv/momento"},
		"github.com/aws/aws-sdk-go-v2/config":                          {"secret", "kv/dynamodb", "idp/cognito"},
		"github.com/aws/aws-sdk-go-v2/service/secretsmanager":          {"secret"},
		"github.com/aws/aws-sdk-go-v2/service/dynamodb":                {"kv/dynamodb"},
		"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider": {"idp/cognito"},
	}
	used := map[[2]string]bool{} // prefix and package
	packages := read(t).packages
	for name, p := range packages {
		for _, imported := range imports(p.code) {
			for prefix, places := range allowed {
				if !strings.HasPrefix(imported, prefix) {
					continue
				}
				used[[2]string{prefix, name}] = true
				if !slices.Contains(places, name) {
					t.Errorf("%s imports %s, whose place is %q: what a framework or vendor decides must not spread", name, imported, places)
				}
			}
		}
	}
	for prefix, places := range allowed {
		for _, place := range places {
			if packages[place] != nil && !used[[2]string{prefix, place}] {
				t.Errorf("%s imports nothing of %s: a place that nobody takes lets in what nobody has weighed", place, prefix)
			}
		}
	}
}

func TestDevidpSharesNothingWithWhatItTests(t *testing.T) {
	p := read(t).packages["idp/devidp"]
	if p == nil {
		t.Fatal("there is no idp/devidp")
	}
	for _, imported := range imports(slices.Concat(p.code, p.tests)) {
		if target, is := ours(imported); is && target != "idp/devidp" && target != "loopback" { // idp does not listen
			t.Errorf("idp/devidp imports %s: a provider that shares code with its client shares its mistakes, and no test would find them", imported)
		}
		if strings.HasPrefix(imported, "golang.org/x/oauth2") || strings.HasPrefix(imported, "github.com/coreos/go-oidc") {
			t.Errorf("idp/devidp imports %s, the library behind idp: it would share that one's mistakes", imported)
		}
	}
}

// The demo's provider keeps passwords readable and lies on request, its event server forgets everything and can be cut by
// anybody on the machine. The laboratory kills what it is handed. None of them must come near what serves.
func TestOnlyTheDemoAndTheLaboratoryImportDevelopmentServers(t *testing.T) {
	h := read(t)
	for name, p := range h.packages {
		for _, file := range p.code {
			at := path.Base(h.fset.Position(file.Package).Filename)
			demo := isIn(name, "cmd/vestibule") && (strings.HasPrefix(at, "demo") || strings.HasPrefix(at, "simulate"))
			if demo || isIn(name, "bench", "e2e") {
				continue
			}
			for _, imported := range imports([]*ast.File{file}) {
				if target, is := ours(imported); is && isIn(target, "idp/devidp", "upstream/eventsdev", "lab") {
					t.Errorf("%s/%s imports %s: serve must have no way to it", name, at, target)
				}
			}
		}
	}
}

func TestNoPackageIsADrawerForOddsAndEnds(t *testing.T) {
	for name := range read(t).packages {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "shared", "base", "types", "misc", "pkg", "lib"}, path.Base(name)) {
			t.Errorf("%s: a name that says nothing takes in everything; name it after what it owns", name)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for name, p := range read(t).packages {
		if len(p.code) == 0 {
			continue
		}
		comments := 0
		for _, f := range p.code {
			if f.Doc == nil || ast.IsGenerated(f) {
				continue
			}
			comments++
			if text := f.Doc.Text(); len(strings.Fields(text)) < 15 {
				t.Errorf("%s: the package comment is %q: say what it owns, what it refuses and which file to read first", name, text)
			}
		}
		if comments != 1 {
			t.Errorf("%s has %d package comments, want one: it is the map that a reader opens first", name, comments)
		}
	}
}

func TestWhatIsExportedIsDocumented(t *testing.T) {
	h := read(t)
	for name, p := range h.packages {
		if len(p.code) == 0 || p.code[0].Name.Name == "main" {
			continue
		}
		for _, missing := range undocumented(t, h.fset, p) {
			t.Errorf("%s: %s is exported without a comment: what is it, in which units, and what can go wrong?", name, missing)
		}
	}
}

func undocumented(t *testing.T, fset *token.FileSet, p *pkg) []string {
	t.Helper()
	var plain []*ast.File // generated code speaks for its source
	for _, f := range p.code {
		if !ast.IsGenerated(f) {
			plain = append(plain, f)
		}
	}
	d, err := doc.NewFromFiles(fset, plain, module+"/"+p.path, doc.PreserveAST)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	want := func(name, text string) {
		if ast.IsExported(strings.TrimPrefix(name[strings.LastIndexByte(name, '.')+1:], "*")) && strings.TrimSpace(text) == "" {
			out = append(out, name)
		}
	}
	funcs := func(list []*doc.Func, of string) {
		for _, f := range list {
			want(of+f.Name, f.Doc)
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, spec := range v.Decl.Specs {
				s, is := spec.(*ast.ValueSpec)
				if !is {
					continue
				}
				for _, name := range s.Names {
					want(name.Name, v.Doc+s.Doc.Text()+s.Comment.Text())
				}
			}
		}
	}
	funcs(d.Funcs, "")
	values(d.Consts)
	values(d.Vars)
	for _, typ := range d.Types {
		want(typ.Name, typ.Doc)
		funcs(typ.Funcs, "")
		if ast.IsExported(typ.Name) {
			funcs(typ.Methods, typ.Name+".")
		}
		values(typ.Consts)
		values(typ.Vars)
	}
	return out
}

// A test that sleeps is slow where the machine is fast and fails where it is slow.
func TestNoTestSleeps(t *testing.T) {
	h := read(t)
	for name, p := range h.packages {
		for _, f := range p.tests {
			ast.Inspect(f, func(n ast.Node) bool {
				sel, is := n.(*ast.SelectorExpr)
				if !is || sel.Sel.Name != "Sleep" {
					return true
				}
				if x, is := sel.X.(*ast.Ident); is && x.Name == "time" && !importsSynctest(f) {
					t.Errorf("%s: time.Sleep in a test of %s: inject the clock, wait for an event, or use testing/synctest", h.fset.Position(n.Pos()), name)
				}
				return true
			})
		}
	}
}

// importsSynctest: in its bubbles sleeping takes no time and races with nothing.
func importsSynctest(f *ast.File) bool {
	return slices.Contains(imports([]*ast.File{f}), "testing/synctest")
}

func TestNothingRunsBeforeMain(t *testing.T) {
	h := read(t)
	for _, p := range h.packages {
		for _, f := range p.code {
			if ast.IsGenerated(f) {
				continue
			}
			for _, d := range f.Decls {
				if fn, is := d.(*ast.FuncDecl); is && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: func init: what runs before main can neither be configured nor fail with a sentence", h.fset.Position(fn.Pos()))
				}
			}
		}
	}
}

// The command is documented as go run ./cmd/vestibule; a second main would have to be, too.
func TestThereIsOneCommand(t *testing.T) {
	entries, err := os.ReadDir("cmd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "vestibule" {
			t.Errorf("cmd/%s: one binary holds all verbs", e.Name())
		}
	}
}
