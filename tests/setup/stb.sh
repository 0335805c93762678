#!/bin/sh
# Makes sure that the compiler finds stb_image.h and stb_image_write.h: where they are missing,
# names the one command that installs them here, and runs it when that needs no password.
CC=${CC:-cc}
for prefix in stb/ ''; do
    if printf '#include <%sstb_image.h>\n#include <%sstb_image_write.h>\n' "$prefix" "$prefix" |
        $CC -E -x c - > /dev/null 2>&1; then
        exit 0
    fi
done

id='' like=''
# shellcheck source=/dev/null
[ -r /etc/os-release ] && . /etc/os-release && id=${ID-} like=${ID_LIKE-}
case " $id $like " in
*' debian '* | *' ubuntu '*) install='apt-get install -y libstb-dev' refresh='apt-get update' ;;
*' fedora '* | *' rhel '*)   install='dnf install -y stb_image-devel stb_image_write-devel' refresh='' ;;
*' alpine '*)                install='apk add stb' refresh='' ;;
*' arch '*)                  install='pacman -S --noconfirm stb' refresh='' ;;
*' suse '* | *' opensuse '*) install='zypper install -y stb-devel' refresh='' ;;
*) echo "stb_image.h is missing: install your system's stb package, then run make again" >&2
   exit 1 ;;
esac

echo "stb_image.h is missing; this installs it:  $install" >&2
if [ "$(id -u)" -eq 0 ]; then
    run=''
elif command -v sudo > /dev/null 2>&1 && sudo -n true 2> /dev/null; then
    run='sudo -n'
else
    echo "run that command as root (or with sudo), then run make again" >&2
    exit 1
fi
# A machine without package lists needs them first; one that has them does without.
$run $install >&2 || { [ -n "$refresh" ] && $run $refresh >&2 && $run $install >&2; }
