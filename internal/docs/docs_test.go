// Package docs_test keeps the documentation honest: what a page says must be so.
package docs_test

import (
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// read gives a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(data)
}

// files gives the paths of all files in the repository whose names end so, without what tests and tools leave behind.
func files(t *testing.T, ext string) (paths []string) {
	t.Helper()
	left := regexp.MustCompile(`^(\.git|bin)$|testdata/rapid$|\.(out|test|prof|fail)$`)
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case left.MatchString(path) && d.IsDir():
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ext) && !left.MatchString(path):
			paths = append(paths, path)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

// blocks gives the fenced blocks of a page that are in a language; "" is for those that name none.
func blocks(page, language string) (found []string) {
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

// section gives what stands between a heading of the second level and the next one.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	require.True(t, found, "no section %q", heading)
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

func TestTheFirstSagaIsTheQuickstart(t *testing.T) {
	first := section(t, read(t, "README.md"), "The first saga")
	_, program, found := strings.Cut(read(t, "examples/quickstart/main.go"), "\n)\n\n")
	require.True(t, found, "the imports end with a parenthesis")
	require.Len(t, blocks(first, "go"), 1)
	require.Equal(t, program, blocks(first, "go")[0])
}

func TestTheFirstSagaPrintsWhatTheReadmeSays(t *testing.T) {
	run := exec.Command("go", "run", "./examples/quickstart")
	run.Dir = root
	printed, err := run.Output()
	require.NoError(t, err)
	said := blocks(section(t, read(t, "README.md"), "The first saga"), "")
	require.Len(t, said, 1)
	require.Equal(t, said[0], string(printed))
}

func TestTheTestOfTheReadmePasses(t *testing.T) {
	said := blocks(section(t, read(t, "README.md"), "In a test"), "go")
	require.Len(t, said, 1)
	require.Contains(t, read(t, "internal/docs/reminder_test.go"), said[0])
}

func TestCommandsExist(t *testing.T) {
	targets := regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllStringSubmatch(read(t, "Makefile"), -1)
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "docs/guarantees.md"} {
		text := read(t, page)
		code := strings.Join(append(blocks(text, ""), regexp.MustCompile("`[^`\n]+`").FindAllString(text, -1)...), "\n")
		for _, m := range regexp.MustCompile(`(?m)(?:^|[^a-z])make ([a-z-]+)`).FindAllStringSubmatch(code, -1) {
			exists := false
			for _, target := range targets {
				exists = exists || target[1] == m[1]
			}
			assert.True(t, exists, "%s names make %s, which the Makefile does not have", page, m[1])
		}
		for _, m := range regexp.MustCompile(`go test ([^\x60]+)`).FindAllStringSubmatch(code, -1) {
			for pattern := range strings.FieldsSeq(m[1]) {
				assert.DirExists(t, filepath.Join(root, strings.TrimSuffix(pattern, "/...")), "%s names go test %s", page, pattern)
			}
		}
	}
}

func TestLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, page := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(withoutBlocks(read(t, page)), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := filepath.Join(filepath.Dir(page), path)
			if path == "" {
				target = page
			}
			if _, err := os.Stat(filepath.Join(root, target)); assert.NoError(t, err, "%s links to %s", page, m[1]) && anchor != "" {
				assert.Contains(t, anchors(read(t, target)), anchor, "%s links to %s", page, m[1])
			}
		}
	}
}

func withoutBlocks(page string) string {
	return regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
}

// anchors gives the names that GitHub gives the headings of a page.
func anchors(page string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(withoutBlocks(page), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestEveryDecisionIsListed(t *testing.T) {
	const folder = "docs/decisions/"
	list := read(t, folder+"README.md")
	for _, page := range files(t, ".md") {
		if name, found := strings.CutPrefix(page, folder); found && name != "README.md" {
			assert.Contains(t, list, "("+name+")", "%sREADME.md does not list %s", folder, name)
		}
	}
}

func TestGoBlocksAreGo(t *testing.T) {
	for _, page := range files(t, ".md") {
		for _, block := range blocks(read(t, page), "go") {
			_, err := format.Source([]byte(block))
			assert.NoError(t, err, "%s:\n%s", page, block)
		}
	}
}

func TestNoFileNamesAMachinesPath(t *testing.T) {
	path := regexp.MustCompile(`(?m)(?:^|[\s"'` + "`" + `(=:,])/(?:home|root|Users|work|tmp|mnt)/\w\S*`)
	for _, file := range files(t, "") {
		for _, found := range path.FindAllString(read(t, file), -1) {
			assert.Fail(t, "a machine's path", "%s: %s", file, strings.TrimSpace(found))
		}
	}
}
