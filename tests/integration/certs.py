"""Certificates made with the openssl command: an authority, and what it signs (good, expired, for another name), and one that signs itself."""
import pathlib
import subprocess


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, **kwargs)


class Authority:
    """A CA in DIRECTORY; issue(name) makes NAME.crt and NAME.key there."""

    def __init__(self, directory, name="ca"):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.crt, self.key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        self.serial = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out", self.crt,
                "-days", 30, "-subj", f"/CN={name}")

    def _database(self):
        """What `openssl ca` wants, which alone can choose both ends of the validity."""
        home = self.directory / f"{self.name}.db"
        home.mkdir(exist_ok=True)
        (home / "index.txt").write_text("")
        (home / "index.txt.attr").write_text("unique_subject = no\n")
        self.serial += 1
        (home / "serial").write_text(f"{self.serial + 4096:04X}\n")
        return home

    def issue(self, name, hosts="DNS:localhost,IP:127.0.0.1,IP:::1", begins="20200101000000Z", ends="20991231235959Z", rsa=False):
        crt, key, csr = (self.directory / f"{name}.{end}" for end in ("crt", "key", "csr"))
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", "-newkey", *kind, "-nodes", "-keyout", key, "-out", csr, "-subj", f"/CN={name}")
        home = self._database()
        conf = home / "conf"
        conf.write_text(f"""[ca]
default_ca = d
[d]
database = {home}/index.txt
serial = {home}/serial
new_certs_dir = {home}
default_md = sha256
policy = p
copy_extensions = none
x509_extensions = x
[p]
commonName = supplied
[x]
subjectAltName = {hosts}
""")
        openssl("ca", "-batch", "-config", conf, "-in", csr, "-out", crt, "-cert", self.crt, "-keyfile", self.key, "-startdate", begins, "-enddate", ends,
                "-notext")
        return crt, key

    def self_signed(self, name="self"):
        crt, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt, "-days", 30,
                "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        return crt, key
