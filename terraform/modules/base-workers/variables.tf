variable "cluster" {
  description = "The cluster's name: value of the tag joinery.sh/cluster and part of the parameters' names."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", var.cluster))
    error_message = "cluster must be 1 to 40 letters, digits, dots and dashes, beginning with a letter or digit."
  }
}

variable "instance_profile" {
  description = "Name of the instance profile; output of the module iam."
  type        = string
}

variable "security_group_ids" {
  description = "Security groups of the machines."
  type        = list(string)
}

variable "architecture" {
  description = "amd64 or arm64; must fit the instance types."
  type        = string
  default     = "amd64"

  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "architecture must be amd64 or arm64."
  }
}

variable "image_id" {
  description = "An image of Ubuntu 24.04 or 22.04. Null: the newest 24.04 of Canonical's. A newer one never replaces machines."
  type        = string
  default     = null

  validation {
    condition     = var.image_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "image_id must be the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "key_name" {
  description = "Name of an EC2 key pair for SSH; null for none."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Subnets for the machines. A group without zones of its own is spread over all of them."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids must name at least one subnet."
  }
}

variable "facts_parameter" {
  description = "Name of the parameter with the join facts; output of the module ssm."
  type        = string
}

variable "groups" {
  description = "Fixed workers by name: type, how many, labels, taints such as domain=auth:NoSchedule, size of the root volume, and the position of one subnet when they must be in one zone."
  type = map(object({
    instance_type = string
    machines      = optional(number, 1)
    labels        = optional(map(string), {})
    taints        = optional(list(string), [])
    volume_gib    = optional(number, 40)
    subnet        = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.groups) : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", name))])
    error_message = "The names of groups must be lower-case letters, digits and dashes, at most 32."
  }

  validation {
    condition     = alltrue([for group in values(var.groups) : group.machines >= 0 && group.machines <= 100 && floor(group.machines) == group.machines])
    error_message = "machines of a group must be a whole number from 0 to 100."
  }

  validation {
    condition     = alltrue([for group in values(var.groups) : group.volume_gib >= 20])
    error_message = "volume_gib of a group must be at least 20."
  }

  validation {
    condition = alltrue(flatten([for group in values(var.groups) : [
      for taint in group.taints : can(regex("^[A-Za-z0-9./_-]+(=[A-Za-z0-9._-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)$", taint))
    ]]))
    error_message = "taints must be key=value:effect or key:effect, with the effect NoSchedule, PreferNoSchedule or NoExecute."
  }

  validation {
    condition = alltrue(flatten([for group in values(var.groups) : [
      for key, value in group.labels : can(regex("^[A-Za-z0-9./_-]+$", key)) && can(regex("^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$", value))
    ]]))
    error_message = "labels must be keys and values as Kubernetes takes them."
  }

  # Kubelet's own rule: of Kubernetes' labels a node may set only those below node.kubernetes.io and kubelet.kubernetes.io.
  validation {
    condition = alltrue(flatten([for group in values(var.groups) : [
      for key in keys(group.labels) : !can(regex("(^|\\.)(kubernetes|k8s)\\.io/", key)) || can(regex("(^|\\.)(node|kubelet)\\.kubernetes\\.io/", key))
    ]]))
    error_message = "labels must not be in kubernetes.io or k8s.io, such as node-role.kubernetes.io/worker: a kubelet with such a label does not start. Use kubectl label."
  }
}

variable "termination_protection" {
  description = "Refuse to terminate the machines until it is false again."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags for everything that is made here."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "joinery.sh/")])
    error_message = "tags must not begin with joinery.sh/: admission believes those, so they are set here and nowhere else."
  }
}
