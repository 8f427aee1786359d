package redisserver_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/skald-go/skald/internal/redisserver"
)

func TestMain(m *testing.M) {
	if os.Getenv("REDISSERVER_TEST_PARENT") != "" {
		beParent()
	}
	goleak.VerifyTestMain(m)
}

// beParent starts a server, says which, and waits to be killed.
func beParent() {
	s, err := redisserver.Start(context.Background(), redisserver.Options{Dir: os.Getenv("REDISSERVER_TEST_PARENT")})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(strconv.Itoa(s.PID()) + "\n")
	select {}
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, opts redisserver.Options) *redisserver.Server {
	t.Helper()
	s, err := redisserver.Start(patience(t), opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func client(t *testing.T, s *redisserver.Server) *redis.Client {
	c := redis.NewClient(s.ClientOptions())
	t.Cleanup(func() { c.Close() })
	return c
}

func TestARestartedServerHasWhatItStored(t *testing.T) {
	ctx := patience(t)
	s := start(t, redisserver.Options{AOF: true})
	c := client(t, s)
	require.NoError(t, c.Set(ctx, "k", "v", 0).Err())
	pid := s.PID()

	s.Kill()
	s.Kill()
	assert.False(t, s.Running())
	require.NoError(t, s.Restart(ctx))

	assert.NotEqual(t, pid, s.PID())
	assert.Equal(t, "v", c.Get(ctx, "k").Val())
}

func TestAPausedServerAnswersLater(t *testing.T) {
	ctx := patience(t)
	s := start(t, redisserver.Options{})
	opts := s.ClientOptions()
	opts.ReadTimeout, opts.MaxRetries = 50*time.Millisecond, -1
	c := redis.NewClient(opts)
	defer c.Close()

	require.NoError(t, s.Pause())
	assert.Error(t, c.Ping(ctx).Err())
	require.NoError(t, s.Resume())
	assert.NoError(t, client(t, s).Ping(ctx).Err())
}

func TestCloseRemovesTheDirectoryItMade(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := start(t, redisserver.Options{})
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.ErrorIs(t, s.Pause(), os.ErrProcessDone)
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	_, err := redisserver.Start(patience(t), redisserver.Options{Args: []string{"--maxmemory-policy", "sometimes"}})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "maxmemory-policy")
}

func TestWithoutAServerTheErrorSaysHowToGetOne(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := redisserver.Start(patience(t), redisserver.Options{})
	assert.ErrorIs(t, err, redisserver.ErrMissing)
	assert.Contains(t, err.Error(), redisserver.InstallCommand)
}

func TestAServerDiesWithItsParent(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("only Linux ends a process with its parent")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "REDISSERVER_TEST_PARENT="+t.TempDir())
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line := make([]byte, 32)
	n, err := out.Read(line)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0))

	require.NoError(t, parent.Process.Kill())
	parent.Wait()

	require.Eventually(t, func() bool { return isGone(pid) }, 20*time.Second, 10*time.Millisecond)
}

// isGone tells whether a process has ended; one that nobody has waited for yet has.
func isGone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestPasswordsAndUsers(t *testing.T) {
	ctx := patience(t)
	s := start(t, redisserver.Options{Password: "of the default user", Users: []string{"app on >word ~app:* +get +set"}})
	require.NoError(t, client(t, s).Set(ctx, "other", 1, 0).Err())

	opts := s.ClientOptions()
	opts.Username, opts.Password = "app", "word"
	app := redis.NewClient(opts)
	defer app.Close()
	assert.NoError(t, app.Set(ctx, "app:1", 1, 0).Err())
	assert.ErrorContains(t, app.Set(ctx, "other", 1, 0).Err(), "NOPERM")
}

func TestTLS(t *testing.T) {
	ctx := patience(t)
	authority, err := redisserver.NewTLS()
	require.NoError(t, err)
	authority.ClientAuth = true
	s := start(t, redisserver.Options{TLS: authority})
	require.NoError(t, client(t, s).Set(ctx, "k", "v", 0).Err())

	opts := s.ClientOptions()
	opts.TLSConfig, opts.MaxRetries = authority.Stranger(), -1
	stranger := redis.NewClient(opts)
	defer stranger.Close()
	assert.Error(t, stranger.Ping(ctx).Err(), "a client without a certificate")

	other, err := redisserver.NewTLS()
	require.NoError(t, err)
	opts.TLSConfig = other.Client()
	impostor := redis.NewClient(opts)
	defer impostor.Close()
	assert.ErrorContains(t, impostor.Ping(ctx).Err(), "certificate")
}

func TestSentinelsPromoteAReplica(t *testing.T) {
	ctx := patience(t)
	master := start(t, redisserver.Options{Password: "secret"})
	require.NoError(t, client(t, master).Set(ctx, "k", "v", 0).Err())
	replica, err := redisserver.StartReplica(ctx, master, redisserver.Options{Password: "secret"})
	require.NoError(t, err)
	defer replica.Close()
	assert.Equal(t, "v", client(t, replica).Get(ctx, "k").Val())
	sentinels, err := redisserver.StartSentinels(ctx, 3, "main", master)
	require.NoError(t, err)
	defer sentinels.Close()
	assert.Len(t, sentinels.Addrs(), 3)

	master.Kill()

	require.Eventually(t, func() bool {
		addr, err := sentinels.Master(ctx)
		return err == nil && addr == replica.Addr
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, master.Restart(ctx))
	require.Eventually(t, func() bool { // on a busy machine the Sentinels may have promoted the old master again
		addr, err := sentinels.Master(ctx)
		follower := master
		if addr == master.Addr {
			follower = replica
		}
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return err == nil && follower.Linked(soon) == nil
	}, 2*time.Minute, 50*time.Millisecond, "one follows the other")
}

func TestCluster(t *testing.T) {
	ctx := patience(t)
	cluster, err := redisserver.StartCluster(ctx, 3, 1, redisserver.Options{})
	require.NoError(t, err)
	defer cluster.Close()
	c := redis.NewClusterClient(cluster.ClientOptions())
	defer c.Close()
	for i := range 300 {
		require.NoError(t, c.Set(ctx, "{tag}"+strconv.Itoa(i), i, 0).Err())
	}
	from, err := cluster.MasterOf(ctx, "{tag}")
	require.NoError(t, err)
	slot, err := cluster.SlotOf(ctx, "{tag}")
	require.NoError(t, err)

	to := cluster.Nodes[0]
	if to == from {
		to = cluster.Nodes[1]
	}
	require.NoError(t, cluster.MigrateSlot(ctx, slot, to))
	now, err := cluster.MasterOf(ctx, "{tag}")
	require.NoError(t, err)
	assert.Equal(t, to.Addr, now.Addr)
	assert.Equal(t, "299", c.Get(ctx, "{tag}299").Val())

	replicas, err := cluster.ReplicasOf(ctx, to)
	require.NoError(t, err)
	require.Len(t, replicas, 1)
	require.NoError(t, cluster.Failover(ctx, replicas[0]))
	require.Eventually(t, func() bool { return c.Get(ctx, "{tag}299").Val() == "299" }, 20*time.Second, 50*time.Millisecond)

	replicas[0].Kill()
	require.Eventually(t, func() bool {
		now, err := cluster.MasterOf(ctx, "{tag}")
		return err == nil && now == to
	}, time.Minute, 50*time.Millisecond, "its old master takes the slots back")
	require.NoError(t, cluster.Ready(ctx))
}
