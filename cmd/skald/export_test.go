package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
	"github.com/skald-go/skald/step"
)

// lettersOn makes dead letters order-1 to order-n on a server, in the namespace shop.
func lettersOn(t *testing.T, server *redistest.Server, n int) {
	t.Helper()
	broken := errors.New("bank: out of order")
	charge := step.New("charge", func(context.Context, string) (int, error) { return 42, nil }).
		Compensate(func(context.Context, step.Effect[string, int]) error { return step.GiveUp(broken) })
	ship := step.New("ship", func(context.Context, int) (int, error) { return 0, step.Refused(errors.New("sold out")) })
	order := flow.New[string]("order").Then(charge).Then(ship)

	b := redisx.New(server.Client(), redisx.Options{Namespace: "shop"})
	e := flow.NewEngine(b, flow.Options{})
	e.Serve(order)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for i := range n {
		future, err := order.Start(ctx, e, "card 4111", flow.ID(fmt.Sprint("order-", i+1)))
		require.NoError(t, err)
		_, err = future.Await(ctx)
		require.ErrorContains(t, err, "dead letter")
	}
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, b.Close())
}

func TestExportAndImport(t *testing.T) {
	from, to := redistest.Start(t, redistest.Password("geheim")), redistest.Start(t)
	lettersOn(t, from, 2)
	t.Setenv("SKALD_REDIS_URL", "redis://:geheim@"+from.Addr)
	dir := filepath.Join(t.TempDir(), "letters")

	code, out, progress := skald(t, "export", "order-1", "--namespace", "shop")
	require.Zero(t, code, progress)
	assert.Contains(t, out, `"error": "bank: out of order"`)
	assert.NotContains(t, out, "4111", "payloads are not asked for")
	code, out, progress = skald(t, "export", "--dead-letters", "--payloads", "--namespace", "shop", "-o", dir)
	require.Zero(t, code, progress)
	assert.NotContains(t, out+progress, "geheim")
	assert.Contains(t, progress, "2 sagas exported")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	code, _, progress = skald(t, "export", "order-1", "--namespace", "shop", "-o", files[0])
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, "exists", "no file is overwritten")

	code, out, progress = skald(t, "import", files[0], files[1], "--addr", to.Addr, "--namespace", "other")
	require.Zero(t, code, progress)
	assert.Equal(t, "order-1: imported, 1 saga, buried\norder-2: imported, 1 saga, buried\n", out)
	b := redisx.New(to.Client(), redisx.Options{Namespace: "other"})
	defer b.Close()
	again, err := flow.Export(t.Context(), b, "order-1")
	require.NoError(t, err)
	written, err := readExport(files[0], nil)
	require.NoError(t, err)
	again.Sagas[0].Since = written.Sagas[0].Since
	assert.Equal(t, written.Sagas, again.Sagas)

	code, _, progress = skald(t, "import", files[0], "--addr", to.Addr, "--namespace", "other")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, "it exists there, and was not changed")
	code, out, progress = skald(t, "import", files[0], "--addr", to.Addr, "--namespace", "other", "--skip-existing")
	assert.Zero(t, code, progress)
	assert.Equal(t, "order-1: exists, passed over\n", out)
}

func TestImportReadsAllBeforeItStores(t *testing.T) {
	server := redistest.Start(t)
	lettersOn(t, server, 1)
	whole, bare := filepath.Join(t.TempDir(), "whole.json"), filepath.Join(t.TempDir(), "bare.json")
	for file, more := range map[string][]string{whole: {"--payloads"}, bare: nil} {
		code, _, progress := skald(t, append([]string{"export", "order-1", "--addr", server.Addr, "--namespace", "shop", "-o", file}, more...)...)
		require.Zero(t, code, progress)
	}
	code, _, progress := skald(t, "import", whole, bare, "--addr", server.Addr, "--namespace", "other")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, bare+": flow: read an export")
	assert.Contains(t, progress, "--payloads")
	assert.Empty(t, server.Client().Keys(t.Context(), "*other*").Val())

	content, err := os.ReadFile(whole)
	require.NoError(t, err)
	var o, p bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"import", "-", "--addr", server.Addr, "--namespace", "other"}, bytes.NewReader(content), &o, &p), p.String())
	assert.Equal(t, "order-1: imported, 1 saga, buried\n", o.String())
}

func TestWrongExportsAndImportsAreToldSo(t *testing.T) {
	t.Setenv("SKALD_REDIS_URL", "")
	for args, said := range map[string]string{
		"export --addr h:1":                              "name the sagas",
		"export a --dead-letters --addr h:1":             "leave the IDs out",
		"export a b --addr h:1":                          "-o",
		"export a":                                       "SKALD_REDIS_URL",
		"export a --addr redis://:geheim@h:1/zero":       "cannot be read",
		"export a --addr h:1 --partitions 0":             "--partitions is 0",
		"import --addr h:1":                              "at least 1",
		"import a.json":                                  "SKALD_REDIS_URL",
		"import a.json --addr localhost --skip-existing": "neither host:port nor a URL",
	} {
		code, out, progress := skald(t, strings.Fields(args)...)
		assert.Equal(t, exitUsage, code, args)
		assert.Empty(t, out, args)
		assert.Contains(t, progress, said, args)
		assert.NotContains(t, progress, "geheim")
	}
}

func TestExportOfNobodyAndFromNowhere(t *testing.T) {
	server := redistest.Start(t)
	code, _, progress := skald(t, "export", "nobody", "--addr", server.Addr)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, "no such saga")
	code, _, progress = skald(t, "import", "missing.json", "--addr", server.Addr)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, "missing.json")
	server.Kill()
	code, _, progress = skald(t, "export", "nobody", "--addr", "redis://:geheim@"+server.Addr)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, progress, "Redis at "+server.Addr)
	assert.NotContains(t, progress, "geheim")
}
